"""``classification``: one label a sentence, from a TSV column or from a ``# task = label`` comment."""

from collections.abc import Sequence
from typing import ClassVar

from machamp_lite.config.task_types import ClassificationOptions, TaskOptions
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.decoders.base import LabelDecoder, read_sentence_label, write_sentence_label


class Classification(LabelDecoder):
    """One linear map from the first position of a sentence to the labels that training showed."""

    Options: ClassVar[type[TaskOptions]] = ClassificationOptions

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str] | None:
        """One label in all; None if it is ``_`` or the comment is missing."""
        label = read_sentence_label(record, task=task, column=config.column_idx)
        return None if label is None or label == EMPTY else [label]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Writes the column or the comment."""
        write_sentence_label(record, labels[0], task=task, column=config.column_idx)
