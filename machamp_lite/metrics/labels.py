"""Metrics over items with one label, or one arc, each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import eq, itemgetter
from typing import Any

from machamp_lite.metrics.base import Metric, f1, ratio

Arc = tuple[int, str]


class Accuracy(Metric[Any]):
    """The share of items that are predicted as they are in the gold data.

    >>> metric = Accuracy()
    >>> metric.add(["DET", "NOUN", "VERB", "ADV"], ["DET", "NOUN", "VERB", "ADJ"])
    >>> metric.value()
    0.75
    """

    name = "accuracy"

    def value(self) -> float:
        return ratio(self.counts[True], self.counts.total())

    def _count(self, gold: Sequence[Any], predicted: Sequence[Any]) -> Iterable[bool]:
        return map(eq, gold, predicted)


class LabelledAttachment(Accuracy):
    """The share of words, punctuation included, with the right head and relation, subtype included (LAS).

    >>> metric = LabelledAttachment()
    >>> metric.add([(2, "nsubj"), (0, "root")], [(2, "obj"), (0, "root")])
    >>> metric.value()
    0.5
    """

    name = "las"


class UnlabelledAttachment(Accuracy):
    """The share of words, punctuation included, with the right head, whatever the relation (UAS).

    >>> metric = UnlabelledAttachment()
    >>> metric.add([(2, "nsubj"), (0, "root")], [(2, "obj"), (0, "root")])
    >>> metric.value()
    1.0
    """

    name = "uas"

    def _count(self, gold: Sequence[Arc], predicted: Sequence[Arc]) -> Iterable[bool]:
        return map(eq, map(itemgetter(0), gold), map(itemgetter(0), predicted))


class _LabelF1(Metric[str]):
    """An F1 over one label an item, from the counts of all pairs of a gold and a predicted label."""

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Iterable[tuple[str, str]]:
        return zip(gold, predicted, strict=True)

    def _marginals(self) -> tuple[Counter[str], Counter[str]]:
        """Return how often each label is in the gold data and how often it is predicted."""
        in_gold: Counter[str] = Counter()
        in_predicted: Counter[str] = Counter()
        for (gold, predicted), count in self.counts.items():
            in_gold[gold] += count
            in_predicted[predicted] += count
        return in_gold, in_predicted


class MicroF1(_LabelF1):
    """F1 over all decisions at once, which is the accuracy where each item has one label.

    >>> metric = MicroF1()
    >>> metric.add(["a", "a", "b", "c"], ["a", "a", "a", "c"])
    >>> metric.value()
    0.75
    """

    name = "f1_micro"

    def value(self) -> float:
        correct = sum(count for (gold, predicted), count in self.counts.items() if gold == predicted)
        return ratio(correct, self.counts.total())


class MacroF1(_LabelF1):
    """The mean of the F1 of each label that occurs in the gold data or is predicted, rare ones alike.

    >>> metric = MacroF1()
    >>> metric.add(["a", "a", "b", "c"], ["a", "a", "a", "c"])
    >>> round(metric.value(), 3)
    0.6
    """

    name = "f1_macro"

    def value(self) -> float:
        in_gold, in_predicted = self._marginals()
        # Sorted, for sums of floats that are the same in every run.
        labels = sorted(in_gold.keys() | in_predicted.keys())
        f1s = (f1(self.counts[label, label], in_gold[label], in_predicted[label]) for label in labels)
        return ratio(sum(f1s), len(labels))


class BinaryF1(_LabelF1):
    """F1 of the positive label, the last of the two in sorted order: 1 of 0 and 1, yes of no and yes.

    Where more than two labels occur, it is the last of those in the gold data.

    >>> metric = BinaryF1()
    >>> metric.add(["yes", "no", "yes", "no"], ["yes", "yes", "no", "no"])
    >>> metric.value()
    0.5
    """

    name = "f1_binary"

    def value(self) -> float:
        in_gold, in_predicted = self._marginals()
        labels = in_gold.keys() | in_predicted.keys()
        positive = max(labels if len(labels) <= 2 else in_gold, default="")
        return f1(self.counts[positive, positive], in_gold[positive], in_predicted[positive])
