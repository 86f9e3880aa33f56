"""``seq``: one label a word, from one column."""

from collections.abc import Sequence

from machamp_lite.data.records import Record
from machamp_lite.decoders.base import LabelDecoder, TaskConfig, read_column


class Seq(LabelDecoder):
    """One linear map from each word to the labels that training showed."""

    level = "word"
    metrics = (*LabelDecoder.metrics, "span_f1")

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskConfig) -> list[str]:
        """One label a word."""
        return read_column(record, task=task, column=config.column_idx)

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskConfig) -> None:
        """Writes the column."""
        record.set_column(config.column_idx, labels)
