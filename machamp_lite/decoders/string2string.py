"""``string2string``: from each word to another string (a lemma, a normal form) by a predicted edit script."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from machamp_lite.config.task_types import String2StringOptions, TaskOptions
from machamp_lite.data.edit_script import apply_script, make_script
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.decoders.base import LabelDecoder, read_column, split
from machamp_lite.decoders.top_k import Ranked, merge

# What scripts less probable than this, taken together, add to a string is not seen in four digits.
NEGLIGIBLE = 5e-5


class String2String(LabelDecoder):
    """Classifies each word by the edit script that turns it into its target (after Straka 2018, UDPipe)."""

    Options = String2StringOptions
    labels_are_classes = False

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str]:
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
            list(map(_apply, words, sentence_scripts))
            for words, sentence_scripts in zip(sentences, scripts, strict=True)
        ]

    def rank(self, scores: Tensor, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The most probable strings: scripts that give the same one are summed."""
        best = [label for labels in self.decode(scores, sentences) for label in labels]
        probabilities, numbers = scores.float().softmax(-1).sort(-1, descending=True)
        ranked = [
            merge(list(self._targets(word, *row)), first=first, top_n=top_n)
            for word, first, *row in zip(
                (word for words in sentences for word in words),
                best,
                numbers.cpu().numpy(),
                probabilities.cpu().numpy(),
                strict=True,
            )
        ]
        return split(ranked, [len(words) for words in sentences])

    def _targets(
        self, word: str, numbers: np.ndarray, probabilities: np.ndarray
    ) -> Iterator[tuple[str, float]]:
        """What each script makes of a word, from the most probable on, until the rest is negligible."""
        left = 1.0
        for number, probability in zip(numbers, probabilities, strict=True):
            yield _apply(word, self.vocabulary.labels[number]), float(probability)
            left -= probability
            if left < NEGLIGIBLE:
                return

    @classmethod
    def align_for_scoring(cls, gold: Sequence[str], predicted: Sequence[str]) -> Sequence[str]:
        """Gold of ``_`` is not annotated, and any prediction right there, as in the official UD evaluation."""
        return [EMPTY if label == EMPTY else target for label, target in zip(gold, predicted, strict=True)]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Writes the column."""
        record.set_column(config.column_idx, labels)


@lru_cache(maxsize=2**18)
def _apply(word: str, script: str) -> str:
    target = apply_script(word, script)
    # An empty target would be no label when the file is read again.
    return target or word
