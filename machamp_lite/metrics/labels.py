"""Metrics over labels as they are written: one label, one arc or any number of labels per item."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import eq, itemgetter
from typing import Any

from machamp_lite.metrics.base import Metric, f1, ratio

Arc = tuple[int, str]


class Accuracy(Metric[Any]):
    """The share of items whose prediction equals the gold item.

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
    """The share of words, including punctuation, with the right head and relation, including subtype (LAS).

    >>> metric = LabelledAttachment()
    >>> metric.add([(2, "nsubj"), (0, "root")], [(2, "obj"), (0, "root")])
    >>> metric.value()
    0.5
    """

    name = "las"


class UnlabelledAttachment(Accuracy):
    """The share of words, including punctuation, with the right head, regardless of the relation (UAS).

    >>> metric = UnlabelledAttachment()
    >>> metric.add([(2, "nsubj"), (0, "root")], [(2, "obj"), (0, "root")])
    >>> metric.value()
    1.0
    """

    name = "uas"

    def _count(self, gold: Sequence[Arc], predicted: Sequence[Arc]) -> Iterable[bool]:
        return map(eq, map(itemgetter(0), gold), map(itemgetter(0), predicted))


class MultiAccuracy(Accuracy):
    """The share of items whose labels, joined by |, are exactly the gold labels, in any order.

    >>> metric = MultiAccuracy()
    >>> metric.add(["a|b", "a", "_"], ["b|a", "a|b", "_"])
    >>> round(metric.value(), 3)
    0.667
    """

    name = "multi_acc"

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Iterable[bool]:
        return map(eq, map(label_set, gold), map(label_set, predicted))


class _MultiF1(Metric[str]):
    """An F1 over the single labels of items, from counts of ("gold", "predicted" or "correct", label)."""

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        for gold_labels, labels in zip(map(label_set, gold), map(label_set, predicted), strict=True):
            counts.update(("gold", label) for label in gold_labels)
            counts.update(("predicted", label) for label in labels)
            counts.update(("correct", label) for label in gold_labels & labels)
        return counts

    def _f1_of(self, label: str) -> float:
        return f1(self.counts["correct", label], self.counts["gold", label], self.counts["predicted", label])

    def _labels(self) -> list[str]:
        return sorted({label for _, label in self.counts})


class MultiMicroF1(_MultiF1):
    """F1 over all labels of all items.

    >>> metric = MultiMicroF1()
    >>> metric.add(["a|b", "a"], ["a", "a|b"])
    >>> round(metric.value(), 3)
    0.667
    """

    name = "multi_f1_micro"

    def value(self) -> float:
        totals: Counter[str] = Counter()
        for (what, _), count in self.counts.items():
            totals[what] += count
        return f1(totals["correct"], totals["gold"], totals["predicted"])


class MultiMacroF1(_MultiF1):
    """The unweighted mean of the F1 of each label that is gold or predicted.

    >>> metric = MultiMacroF1()
    >>> metric.add(["a|b", "a"], ["a", "a|b"])
    >>> metric.value()
    0.5
    """

    name = "multi_f1_macro"

    def value(self) -> float:
        labels = self._labels()
        return ratio(sum(map(self._f1_of, labels)), len(labels))


def label_set(joined: str) -> frozenset[str]:
    """The labels of an item, joined by |; ``_`` means no labels.

    >>> sorted(label_set("Number=Sing|Case=Nom")), sorted(label_set("_"))
    (['Case=Nom', 'Number=Sing'], [])
    """
    return frozenset(label for label in joined.split("|") if label and label != "_")
