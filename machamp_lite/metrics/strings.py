"""Metrics over strings."""

from collections.abc import Iterable, Sequence

from machamp_lite.metrics.base import Metric


class CharacterF(Metric[str]):
    """The chrF2 of all strings together (Popović 2015): an F over n-grams of 1 to 6 characters, recall counting double.

    Computed by sacrebleu (Post 2018) with its default settings, which leave spaces out.

    >>> metric = CharacterF()
    >>> metric.add(["the cat"], ["a cat"])
    >>> round(metric.value(), 3)
    0.312
    """

    name = "chrf"

    def value(self) -> float:
        # Imported when it is asked for: most runs have no use for it.
        from sacrebleu.metrics import CHRF

        gold, predicted = zip(*self.counts.elements(), strict=True) if self.counts else ((), ())
        return CHRF().corpus_score(predicted, [gold]).score / 100 if gold else 0.0

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Iterable[tuple[str, str]]:
        return zip(gold, predicted, strict=True)
