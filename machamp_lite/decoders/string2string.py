"""``string2string``: one string per word, such as a lemma, from one column; predicted as an edit script."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from machamp_lite.config.task_types import String2StringOptions
from machamp_lite.data.edit_script import apply_script, make_script
from machamp_lite.data.records import EMPTY
from machamp_lite.decoders.base import LabelDecoder
from machamp_lite.decoders.top_k import Ranked, merge

# Scripts with a total probability below this do not change the four digits that are written.
NEGLIGIBLE = 5e-5


class String2String(LabelDecoder):
    """Classifies each word by the edit script that turns it into its target (after Straka 2018, UDPipe)."""

    Options = String2StringOptions
    labels_are_classes = False
    graph_decoding = "edit_scripts"

    @classmethod
    def classes(cls, labels: Sequence[str], words: Iterable[str]) -> list[str]:
        """The edit scripts from words to targets."""
        return [make_script(word, label) for word, label in zip(words, labels, strict=True)]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The word changed by the best script; a script that does not fit leaves the word unchanged."""
        scripts = super().decode(scores, sentences)
        return [
            list(map(_apply, words, sentence_scripts))
            for words, sentence_scripts in zip(sentences, scripts, strict=True)
        ]

    def rank(self, scores: Tensor, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The most probable strings; the probabilities of scripts with the same result are added."""
        best = [label for labels in self.decode(scores, sentences) for label in labels]
        probabilities, ids = scores.float().softmax(-1).sort(-1, descending=True)
        ranked = [
            merge(list(self._targets(word, *row)), first=first, top_n=top_n)
            for word, first, *row in zip(
                (word for words in sentences for word in words),
                best,
                ids.cpu().numpy(),
                probabilities.cpu().numpy(),
                strict=True,
            )
        ]
        return self.split_by_sentence(ranked, sentences)

    def _targets(self, word: str, ids: np.ndarray, probabilities: np.ndarray) -> Iterator[tuple[str, float]]:
        """The result and the probability of each script, the most probable first, without negligible ones."""
        left = 1.0
        for script_id, probability in zip(ids, probabilities, strict=True):
            yield _apply(word, self.vocabulary.labels[script_id]), float(probability)
            left -= probability
            if left < NEGLIGIBLE:
                return

    @classmethod
    def align_for_scoring(cls, gold: Sequence[str], predicted: Sequence[str]) -> Sequence[str]:
        """Replaces predictions where gold is ``_``, so that they count as right, as in the official UD evaluation."""
        return [EMPTY if label == EMPTY else target for label, target in zip(gold, predicted, strict=True)]


@lru_cache(maxsize=2**18)
def _apply(word: str, script: str) -> str:
    target = apply_script(word, script)
    # An empty label could not be read again.
    return target or word
