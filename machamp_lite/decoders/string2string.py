"""``string2string``: from each word to another string (a lemma, a normal form) by a predicted edit script."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from machamp_lite.data.records import EMPTY, Record
from machamp_lite.decoders.base import LabelDecoder, TaskConfig, read_column
from machamp_lite.modules.edit_script import apply_script, make_script


class String2String(LabelDecoder):
    """Classifies each word by the edit script that turns it into its target (after Straka 2018, UDPipe)."""

    level = "word"
    metrics = ("accuracy",)

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskConfig) -> list[str]:
        """One target string a word."""
        return read_column(record, task=task, column=config.column_idx)

    @classmethod
    def classes(cls, labels: Sequence[str], words: Sequence[str]) -> list[str]:
        """The edit scripts from words to targets."""
        return [make_script(word, label) for word, label in zip(words, labels, strict=True)]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The best script applied to each word; a script that does not fit leaves the word as it is."""
        scripts = super().decode(scores, sentences)
        return [
            [_apply(word, script) for word, script in zip(words, sentence_scripts, strict=True)]
            for words, sentence_scripts in zip(sentences, scripts, strict=True)
        ]

    @classmethod
    def as_scored(cls, gold: Sequence[str], predicted: Sequence[str]) -> Sequence[str]:
        """Gold of ``_`` is not annotated, and any prediction right there, as in the official UD evaluation."""
        return [EMPTY if label == EMPTY else target for label, target in zip(gold, predicted, strict=True)]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskConfig) -> None:
        """Writes the column."""
        record.set_column(config.column_idx, labels)


def _apply(word: str, script: str) -> str:
    target = apply_script(word, script)
    # An empty target would be no label when the file is read again.
    return target or word
