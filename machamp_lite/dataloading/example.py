"""Examples: records with their subwords and the ids of their gold labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import InputType
from machamp_lite.data.records import FileFormat
from machamp_lite.data.segments import Segments


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence as the model reads it, for the tasks with this ``input_type``.

    ``labels`` and ``gold`` have the tasks for which the sentence is annotated: gold labels as strings, and the tensors
    for the decoder's loss. ``dataset_ids`` are the data set of each item, or of a text; 0 is unknown.
    """

    dataset: str
    input_type: InputType
    source: str
    words: Sequence[str]
    segments: Segments
    labels: dict[str, list[Any]]
    gold: dict[str, np.ndarray]
    dataset_ids: np.ndarray | None = None

    @property
    def num_words(self) -> int:
        """The number of words; of texts, which have no words, what is between spaces."""
        return len(("" if self.input_type == "raw" else " ").join(self.words).split())


def file_format_of(config: DatasetConfig) -> FileFormat:
    """How files of a dataset are read."""
    sent_idxs = None if config.sent_idxs is None else tuple(config.sent_idxs)
    return FileFormat(config.word_idx, sent_idxs, config.skip_first_line, config.id_task())
