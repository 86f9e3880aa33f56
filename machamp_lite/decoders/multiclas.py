"""``multiclas``: any number of labels per sentence, joined by ``|``, from a TSV column or a comment."""

from machamp_lite.config.task_types import MultiClasOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.decoders.label_cells import read_sentence_label
from machamp_lite.decoders.multiseq import MultiSeq


class MultiClas(MultiSeq):
    """As ``multiseq``, from the state of a sentence."""

    Options = MultiClasOptions

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str] | None:
        """The joined labels of the sentence, ``_`` for no labels; None if the comment is missing."""
        label = read_sentence_label(record, task=task, column=config.column_idx)
        return None if label is None else [label]
