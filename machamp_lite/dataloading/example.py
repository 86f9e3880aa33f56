"""Instances: records with their subwords and the ids of their gold labels."""

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
    """One sentence as the model sees it, for the tasks that read this ``view`` of it.

    ``labels`` and ``gold`` have the tasks for which the sentence is annotated: gold labels as strings, and what
    the decoder's loss is given. ``dataset_ids`` say which data set each item, or a text, is from; 0 is unknown.
    """

    dataset: str
    view: InputType
    source: str
    words: Sequence[str]
    segments: Segments
    labels: dict[str, list[Any]]
    gold: dict[str, np.ndarray]
    dataset_ids: np.ndarray | None = None

    @property
    def longest_segment(self) -> int:
        """The number of subwords of its longest piece."""
        starts, subwords = self.segments.segment_starts, len(self.segments.subword_ids)
        return subwords if len(starts) == 1 else int(np.diff(starts, append=subwords).max())


def file_format_of(config: DatasetConfig) -> FileFormat:
    """How files of a dataset are read."""
    sent_idxs = None if config.sent_idxs is None else tuple(config.sent_idxs)
    return FileFormat(config.word_idx, sent_idxs, config.skip_first_line, config.id_task())
