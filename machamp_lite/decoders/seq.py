"""``seq``: one label per word, from one column."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from machamp_lite.data.records import Record
from machamp_lite.data.span_schemes import ALIASES
from machamp_lite.decoders.base import LabelDecoder, TaskConfig, read_column


def _without_alias(value: Any) -> Any:
    return ALIASES.get(value, value) if isinstance(value, str) else value


class SeqConfig(TaskConfig):
    """``scheme`` says how labels mark spans; with "auto" it is recognised from the training data."""

    scheme: Annotated[
        Literal["auto", "BIO", "IOB1", "BIOES", "BILOU", "IOE2"], BeforeValidator(_without_alias)
    ]


class Seq(LabelDecoder):
    """One linear map from each word to the labels that training showed."""

    level = "word"
    metrics = (*LabelDecoder.metrics, "span_f1")
    Config = SeqConfig

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskConfig) -> list[str]:
        """One label a word."""
        return read_column(record, task=task, column=config.column_idx)

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskConfig) -> None:
        """Writes the column."""
        record.set_column(config.column_idx, labels)
