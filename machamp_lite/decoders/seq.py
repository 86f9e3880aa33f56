"""``seq``: one label per word, from one column."""

from collections.abc import Sequence
from typing import ClassVar

from machamp_lite.config.task_types import SeqOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.decoders.base import LabelDecoder, read_column


class Seq(LabelDecoder):
    """One linear map from each word to the labels that training showed."""

    Options: ClassVar[type[SeqOptions]] = SeqOptions

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str]:
        """One label a word."""
        return read_column(record, task=task, column=config.column_idx)

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Writes the column."""
        record.set_column(config.column_idx, labels)
