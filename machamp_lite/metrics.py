"""Metrics over label strings, which add up: sentence by sentence, and over parts of a data set."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import eq, itemgetter
from typing import Any, ClassVar, Generic, Self, TypeVar

Item = TypeVar("Item")
Arc = tuple[int, str]
Span = tuple[int, int, str]


class Metric(ABC, Generic[Item]):
    """Compares gold with predicted items, and holds no more than counts, which can be summed."""

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()

    def add(self, gold: Sequence[Item], predicted: Sequence[Item]) -> None:
        """Count one more sentence; raises ValueError where the two differ in length."""
        if len(gold) != len(predicted):
            raise ValueError(f"{len(gold)} gold items do not match {len(predicted)} predicted ones")
        self.counts.update(self._count(gold, predicted))

    def merge(self, other: Self) -> None:
        """Add what another metric of the same class has counted."""
        self.counts.update(other.counts)

    @abstractmethod
    def value(self) -> float:
        """Return the score of all that was added, from 0 to 1, and 0 where nothing was."""

    @abstractmethod
    def _count(self, gold: Sequence[Item], predicted: Sequence[Item]) -> Iterable[Any]:
        """Return what a sentence adds to the counts: things to be counted one by one, or a Counter."""


class Accuracy(Metric[Any]):
    """The share of items that are predicted as they are in the gold data.

    >>> metric = Accuracy()
    >>> metric.add(["DET", "NOUN", "VERB", "ADV"], ["DET", "NOUN", "VERB", "ADJ"])
    >>> metric.value()
    0.75
    """

    name = "accuracy"

    def value(self) -> float:
        return _ratio(self.counts[True], self.counts.total())

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
        return _ratio(correct, self.counts.total())


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
        f1s = (_f1(self.counts[label, label], in_gold[label], in_predicted[label]) for label in labels)
        return _ratio(sum(f1s), len(labels))


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
        return _f1(self.counts[positive, positive], in_gold[positive], in_predicted[positive])


class SpanF1(Metric[str]):
    """F1 over the spans that BIO tags mark, right only if start, end and type are (see `spans`).

    This is what seqeval (Nakayama 2018) calls the strict mode of the scheme IOB2.

    >>> metric = SpanF1()
    >>> metric.add(["B-per", "I-per", "O", "B-loc"], ["B-per", "O", "O", "B-loc"])
    >>> metric.value()
    0.5
    """

    name = "span_f1"

    def value(self) -> float:
        return _f1(self.counts["correct"], self.counts["gold"], self.counts["predicted"])

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Counter[str]:
        in_gold, in_predicted = set(spans(gold)), set(spans(predicted))
        return Counter(gold=len(in_gold), predicted=len(in_predicted), correct=len(in_gold & in_predicted))


class MultiAccuracy(Accuracy):
    """The share of items whose labels, joined by |, are all of the gold ones and no others, in any order.

    >>> metric = MultiAccuracy()
    >>> metric.add(["a|b", "a", "_"], ["b|a", "a|b", "_"])
    >>> round(metric.value(), 3)
    0.667
    """

    name = "multi_acc"

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Iterable[bool]:
        return map(eq, map(label_set, gold), map(label_set, predicted))


class _MultiF1(Metric[str]):
    """An F1 over the single labels of items, from counts of (what, label)."""

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        for gold_labels, labels in zip(map(label_set, gold), map(label_set, predicted), strict=True):
            counts.update(("gold", label) for label in gold_labels)
            counts.update(("predicted", label) for label in labels)
            counts.update(("correct", label) for label in gold_labels & labels)
        return counts

    def _f1_of(self, label: str) -> float:
        return _f1(self.counts["correct", label], self.counts["gold", label], self.counts["predicted", label])

    def _labels(self) -> list[str]:
        return sorted({label for _, label in self.counts})


class MultiMicroF1(_MultiF1):
    """F1 over all decisions for a label, whichever the label.

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
        return _f1(totals["correct"], totals["gold"], totals["predicted"])


class MultiMacroF1(_MultiF1):
    """The mean of the F1 of each label that occurs in the gold data or is predicted.

    >>> metric = MultiMacroF1()
    >>> metric.add(["a|b", "a"], ["a", "a|b"])
    >>> metric.value()
    0.5
    """

    name = "multi_f1_macro"

    def value(self) -> float:
        labels = self._labels()
        return _ratio(sum(map(self._f1_of, labels)), len(labels))


def label_set(joined: str) -> frozenset[str]:
    """The labels of an item that has several, joined by |; ``_`` says that there are none.

    >>> sorted(label_set("Number=Sing|Case=Nom")), sorted(label_set("_"))
    (['Case=Nom', 'Number=Sing'], [])
    """
    return frozenset(label for label in joined.split("|") if label and label != "_")


def spans(tags: Sequence[str]) -> list[Span]:
    """Return the (start, end, type) of all spans of a sentence of BIO tags, the end exclusive.

    Only a B opens a span, and only an I of the same type continues it. An I that continues nothing is
    outside, as is any tag that is neither B nor I.

    >>> spans(["B-per", "I-per", "I-loc", "B-loc", "O", "I-loc"])
    [(0, 2, 'per'), (3, 4, 'loc')]
    """
    found: list[Span] = []
    in_span = False
    for position, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "B":
            found.append((position, position + 1, kind))
            in_span = True
        elif in_span and mark == "I" and found[-1][2] == kind:
            found[-1] = (found[-1][0], position + 1, kind)
        else:
            in_span = False
    return found


def _ratio(part: float, whole: int) -> float:
    """Divide, with 0 where there is nothing to divide by."""
    return part / whole if whole else 0.0


def _f1(correct: int, gold: int, predicted: int) -> float:
    """Return the harmonic mean of precision and recall."""
    return _ratio(2 * correct, gold + predicted)


METRICS: dict[str, type[Metric[Any]]] = {
    metric.name: metric
    for metric in (
        Accuracy,
        MicroF1,
        MacroF1,
        BinaryF1,
        SpanF1,
        LabelledAttachment,
        UnlabelledAttachment,
        MultiAccuracy,
        MultiMicroF1,
        MultiMacroF1,
    )
}
