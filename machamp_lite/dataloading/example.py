"""Examples: records with their subwords and the ids of their gold labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import InputType
from machamp_lite.data.records import FileFormat
from machamp_lite.data.segments import Segments


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence as the model reads it, for the tasks with this ``input_type``.

    ``source`` is its ``file:line``. ``labels`` (the gold labels as they are written) and ``gold`` (the same as arrays
    for the loss) have an entry for each task for which the sentence is annotated. If only some words are annotated,
    the labels of the others are None, ``gold`` has the annotated ones only, and ``gold_items`` has their positions.
    ``dataset_ids`` has the dataset id of each item, or one id for a text; 0 is unknown. ``weights`` has the weights of
    the items in ``gold``, or one weight for all of them; tasks without an entry have the weight 1.
    """

    dataset: str
    input_type: InputType
    source: str
    words: Sequence[str]
    segments: Segments
    labels: dict[str, list[Any]]
    gold: dict[str, np.ndarray]
    dataset_ids: np.ndarray | None = None
    gold_items: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def num_words(self) -> int:
        """The number of words; texts are split at white space."""
        return len(("" if self.input_type == "raw" else " ").join(self.words).split())

    def item_weights(self, task: str) -> np.ndarray | None:
        """The weight of each item in ``gold``; None if all are 1. *Shape:* (items,)."""
        weights = self.weights.get(task)
        return None if weights is None else np.broadcast_to(weights, (len(self.gold[task]),))


def file_format_of(config: DatasetConfig) -> FileFormat:
    """How files of a dataset are read."""
    sentence_values = config.sentence_values()
    # With -1 as column, the label of a sentence has the name of its task.
    in_values = [
        task for task, options in config.active().tasks.items() if task in sentence_values and not options.columns()
    ]
    labels = [*config.label_columns(), *in_values]
    return FileFormat(
        word_idx=config.word_idx,
        sent_idxs=None if config.sent_idxs is None else tuple(config.sent_idxs),
        skip_first_line=config.skip_first_line,
        id_task=config.id_task(),
        name=config.format,
        separator=config.separator,
        quoting=config.quoting,
        label_columns=tuple(labels),
        other_columns=tuple(column for column in config.all_columns() if column not in labels),
        sentence_values=tuple(sentence_values),
    )
