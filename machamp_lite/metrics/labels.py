"""Metrics over items with one label, one arc or any number of labels each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import eq, itemgetter
from typing import Any

from machamp_lite.metrics.base import LabelPairs, Metric, f1, ratio

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


class MicroF1(Accuracy):
    """F1 over all decisions, which equals accuracy because each item has one label.

    >>> metric = MicroF1()
    >>> metric.add(["a", "a", "b", "c"], ["a", "a", "a", "c"])
    >>> metric.value()
    0.75
    """

    name = "f1_micro"


class MacroF1(LabelPairs, Metric[str]):
    """The unweighted mean of the F1 of each label that is gold or predicted.

    >>> metric = MacroF1()
    >>> metric.add(["a", "a", "b", "c"], ["a", "a", "a", "c"])
    >>> round(metric.value(), 3)
    0.6
    """

    name = "f1_macro"

    def value(self) -> float:
        in_gold, in_predicted = self.marginals()
        # Sorted, so that the sum of floats is the same in every run.
        labels = sorted(in_gold.keys() | in_predicted.keys())
        f1s = (f1(self.counts[label, label], in_gold[label], in_predicted[label]) for label in labels)
        return ratio(sum(f1s), len(labels))


class BinaryF1(LabelPairs, Metric[str]):
    """F1 of the positive label, which is the last of the two in sorted order, such as 1 (not 0) or yes (not no).

    If more than two labels occur, it is the last gold label in sorted order.

    >>> metric = BinaryF1()
    >>> metric.add(["yes", "no", "yes", "no"], ["yes", "yes", "no", "no"])
    >>> metric.value()
    0.5
    """

    name = "f1_binary"

    def value(self) -> float:
        in_gold, in_predicted = self.marginals()
        labels = in_gold.keys() | in_predicted.keys()
        positive = max(labels if len(labels) <= 2 else in_gold, default="")
        return f1(self.counts[positive, positive], in_gold[positive], in_predicted[positive])


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
