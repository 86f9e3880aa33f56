"""``multiclas``: any number of labels a sentence, joined by ``|``, from a TSV column or a comment."""

from collections.abc import Sequence

from machamp_lite.config.task_types import MultiClasOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.decoders.base import read_sentence_label, write_sentence_label
from machamp_lite.decoders.multiseq import MultiSeq


class MultiClas(MultiSeq):
    """As ``multiseq``, but from the first position of a sentence."""

    Options = MultiClasOptions

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str] | None:
        """The joined labels of the sentence; None if the comment is missing."""
        label = read_sentence_label(record, task=task, column=config.column_idx)
        return None if label is None else [label]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Writes the column or the comment."""
        write_sentence_label(record, labels[0], task=task, column=config.column_idx)
