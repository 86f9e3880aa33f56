"""``classification``: one label a sentence, from a TSV column or from a ``# task = label`` comment."""

from collections.abc import Sequence

from machamp_lite.data.records import EMPTY, Record
from machamp_lite.decoders.base import COMMENT, LabelDecoder, TaskConfig, read_column
from machamp_lite.errors import DataError


class Classification(LabelDecoder):
    """One linear map from the first position of a sentence to the labels that training showed."""

    level = "sentence"

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskConfig) -> list[str] | None:
        """One label in all; None if it is ``_`` or the comment is missing."""
        if config.column_idx == COMMENT:
            label = record.comment(task)
            if label == "":
                raise DataError(f"{record.where()}: found an empty comment '# {task} =', expected a label")
        else:
            label = read_column(record, task=task, column=config.column_idx)[0]
        return None if label is None or label == EMPTY else [label]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskConfig) -> None:
        """Writes the column or the comment."""
        if config.column_idx == COMMENT:
            record.set_comment(task, labels[0])
        else:
            record.set_column(config.column_idx, labels)
