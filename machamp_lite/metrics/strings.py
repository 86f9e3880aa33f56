"""Metrics over strings."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from machamp_lite.metrics.base import Metric


class _CorpusScore(Metric[str]):
    """A score of all strings, computed by sacrebleu (Post 2018) with its default settings."""

    # The name of the class in sacrebleu.
    _scorer: ClassVar[str]

    def value(self) -> float:
        # Imported here because most runs do not need it.
        from sacrebleu import metrics

        gold, predicted = zip(*self.counts.elements(), strict=True) if self.counts else ((), ())
        scorer = getattr(metrics, self._scorer)()
        return scorer.corpus_score(predicted, [gold]).score / 100 if gold else 0.0

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Iterable[tuple[str, str]]:
        return zip(gold, predicted, strict=True)


class CharacterF(_CorpusScore):
    """The chrF2 of all strings (Popović 2015): an F over n-grams of 1 to 6 characters, recall counting double.

    Spaces are left out.

    >>> metric = CharacterF()
    >>> metric.add(["the cat"], ["a cat"])
    >>> round(metric.value(), 3)
    0.312
    """

    name = "chrf"
    _scorer = "CHRF"


class Bleu(_CorpusScore):
    """The BLEU of all strings (Papineni et al. 2002), over n-grams of 1 to 4 words, with tokenization 13a.

    >>> metric = Bleu()
    >>> metric.add(["the old dog sleeps near the river"], ["the old dog sleeps near a river"])
    >>> round(metric.value(), 3)
    0.643
    """

    name = "bleu"
    _scorer = "BLEU"
