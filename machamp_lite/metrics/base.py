"""What every metric is: counts that add up, and a value that is read from them."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

Item = TypeVar("Item")


class Metric(ABC, Generic[Item]):
    """Compares gold with predicted items, and holds no more than counts, which can be summed."""

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()

    @classmethod
    def for_task(cls, config: Any) -> Self:
        """The metric with the options of a task."""
        return cls()

    def add(self, gold: Sequence[Item], predicted: Sequence[Item]) -> None:
        """Count one more sentence; raises ValueError where the two differ in length."""
        if len(gold) != len(predicted):
            raise ValueError(f"{len(gold)} gold items do not match {len(predicted)} predicted ones")
        self.counts.update(self._count(gold, predicted))

    def merge(self, other: Self) -> None:
        """Add what another metric of the same class has counted."""
        self.counts.update(other.counts)

    def warning(self) -> str | None:
        """A line about gold items that the metric could not read; None if it could read all."""
        return None

    @abstractmethod
    def value(self) -> float:
        """Return the score of all that was added, at most 1 where higher is better, and 0 where nothing was."""

    @classmethod
    def as_text(cls, value: float) -> str:
        """A value as a person reads it: in percent where higher is better, else the number itself."""
        return f"{100 * value:.2f}" if cls.higher_is_better else f"{value:.4f}"

    @classmethod
    def selection_score(cls, value: float) -> float:
        """What a value adds to the sum that picks the best epoch: higher is better, and 1 is the best."""
        return value if cls.higher_is_better else 1 / (1 + value)

    @abstractmethod
    def _count(self, gold: Sequence[Item], predicted: Sequence[Item]) -> Iterable[Any]:
        """Return what a sentence adds to the counts: things to be counted one by one, or a Counter."""


def ratio(part: float, whole: int) -> float:
    """Divide, with 0 where there is nothing to divide by."""
    return part / whole if whole else 0.0


def f1(correct: int, gold: int, predicted: int) -> float:
    """Return the harmonic mean of precision and recall, from the numbers of items."""
    return ratio(2 * correct, gold + predicted)
