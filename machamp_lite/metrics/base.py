"""The base classes of metrics: counts that can be merged, and a value that is computed from them."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any, ClassVar, Generic, Self, TypeVar

Item = TypeVar("Item")


class Counts(ABC, Generic[Item]):
    """Compares gold with predicted items. It stores only counts, so that those of parts of the data can be merged.

    A gold item that is None is not annotated, and is not scored.
    """

    # Whether ``_count`` gets no items that are not annotated; metrics that need the whole sentence get them as None.
    only_annotated: ClassVar[bool] = True

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()

    def add(self, gold: Sequence[Item], predicted: Sequence[Item]) -> None:
        """Adds one sentence; raises ``ValueError`` if the two differ in length."""
        if len(gold) != len(predicted):
            raise ValueError(f"{len(gold)} gold items do not match {len(predicted)} predicted ones")
        if self.only_annotated:
            gold, predicted = annotated_items(gold, predicted)
        self.counts.update(self._count(gold, predicted))

    def merge(self, other: Self) -> None:
        """Adds the counts of another object of the same class."""
        self.counts.update(other.counts)

    @abstractmethod
    def _count(self, gold: Sequence[Item], predicted: Sequence[Item]) -> Iterable[Any]:
        """The keys that a sentence adds to the counts, or a ``Counter`` of them."""


class Metric(Counts[Item]):
    """A score of predictions, computed from counts."""

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    # Whether the items are classes, such as the relations of a parser, and not the labels as they are written.
    compares_classes: ClassVar[bool] = False

    @classmethod
    def for_task(cls, config: Any) -> Self:
        """The metric with the options of a task."""
        return cls()

    def warning(self) -> str | None:
        """A warning about gold items that the metric could not read; None if there are none."""
        return None

    @abstractmethod
    def value(self) -> float:
        """The score of all items, at most 1 if higher is better; 0 if there are no items."""

    def parts(self) -> dict[str, float]:
        """Scores of which the value is computed, such as precision and recall, by MaChAmp's names."""
        return {}

    @classmethod
    def as_text(cls, value: float) -> str:
        """A value as text: in percent if higher is better, else the number itself."""
        return f"{100 * value:.2f}" if cls.higher_is_better else f"{value:.4f}"

    @classmethod
    def selection_score(cls, value: float) -> float:
        """What a value adds to the sum that selects the best epoch: higher is better, at most 1."""
        return value if cls.higher_is_better else 1 / (1 + value)


class LabelPairs(Counts[str]):
    """Counts pairs of a gold and a predicted label, for items with one label each."""

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Iterable[tuple[str, str]]:
        return zip(gold, predicted, strict=True)

    def marginals(self) -> tuple[Counter[str], Counter[str]]:
        """How often each label is gold, and how often it is predicted."""
        in_gold, in_predicted = Counter[str](), Counter[str]()
        for (gold, predicted), count in self.counts.items():
            in_gold[gold] += count
            in_predicted[predicted] += count
        return in_gold, in_predicted


def ratio(part: float, whole: float) -> float:
    """The quotient; 0 if the denominator is 0."""
    return part / whole if whole else 0.0


def f1(correct: int, gold: int, predicted: int) -> float:
    """The harmonic mean of precision and recall, from the numbers of items."""
    return ratio(2 * correct, gold + predicted)


def annotated_items(gold: Sequence[Any], others: Sequence[Any] = ()) -> tuple[Any, Any]:
    """Gold items, and other lists of the same length, without the items whose gold is None.

    >>> annotated_items(["DET", None, "VERB"], ["DET", "NOUN", "ADV"])
    (['DET', 'VERB'], ['DET', 'ADV'])
    """
    if None not in gold:
        return gold, others
    is_annotated = [item is not None for item in gold]
    return list(compress(gold, is_annotated)), list(compress(others, is_annotated))


def f_beta(correct: int, gold: int, predicted: int, *, beta: float) -> float:
    """The F score in which recall counts ``beta`` times as much as precision (van Rijsbergen 1979)."""
    square = beta**2
    return ratio((1 + square) * correct, square * gold + predicted)
