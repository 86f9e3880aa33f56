"""``string2string``: one string per word, such as a lemma, from one column; predicted as an edit script."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from machamp_lite.config.task_types import String2StringOptions
from machamp_lite.data.edit_script import edited, make_script, rank_edited
from machamp_lite.data.ranked import Ranked
from machamp_lite.data.records import EMPTY
from machamp_lite.decoders.base import LabelDecoder


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
            list(map(edited, words, sentence_scripts))
            for words, sentence_scripts in zip(sentences, scripts, strict=True)
        ]

    def rank(self, scores: Tensor, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The most probable strings; the probabilities of scripts with the same result are added."""
        best = [label for labels in self.decode(scores, sentences) for label in labels]
        probabilities, ids = (each.cpu().numpy() for each in scores.float().softmax(-1).sort(-1, descending=True))
        every = (word for words in sentences for word in words)
        scripts = self.vocabulary.labels
        ranked = [
            # A generator, because only the first scripts are read.
            rank_edited(word, ((scripts[i], float(p)) for i, p in zip(*row, strict=True)), first=first, top_n=top_n)
            for word, first, *row in zip(every, best, ids, probabilities, strict=True)
        ]
        return self.split_by_sentence(ranked, sentences)

    @classmethod
    def align_for_scoring(cls, gold: Sequence[str], predicted: Sequence[str]) -> Sequence[str]:
        """Replaces predictions where gold is ``_``, so that they count as right, as in the official UD evaluation."""
        return [EMPTY if label == EMPTY else target for label, target in zip(gold, predicted, strict=True)]
