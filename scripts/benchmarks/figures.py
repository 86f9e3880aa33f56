"""Figures of the benchmark, and how they are timed."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


class NotMeasuredError(Exception):
    """A section cannot be measured with this config or on this machine; says why in one line."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its value in each round, at most one target, and the medians behind it as ``sources``."""

    name: str
    what: str
    unit: Literal["ratio", "s"]
    values: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None
    sources: Mapping[str, float] = field(default_factory=dict)

    @property
    def measured(self) -> float:
        """The median over rounds."""
        return statistics.median(self.values)

    @property
    def is_reached(self) -> bool | None:
        """Whether the median reaches the target; None without a target."""
        if self.at_least is not None:
            return self.measured >= self.at_least
        return None if self.at_most is None else self.measured <= self.at_most

    def as_json(self) -> dict[str, Any]:
        """The figure as an object of the JSON file."""
        return {**asdict(self), "measured": self.measured, "reached": self.is_reached}


def seconds(work: Callable[[], object]) -> float:
    """The wall-clock time of some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def timed(works: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, tuple[float, ...]]:
    """The seconds of each work in each round."""
    return in_rounds(
        {name: lambda work=work: seconds(work) for name, work in works.items()},  # type: ignore[misc]
        repeats=repeats,
    )


def in_rounds(
    works: Mapping[str, Callable[[], float]], *, repeats: int, warm_up: bool = True
) -> dict[str, tuple[float, ...]]:
    """The results of each work in each round, without the warm-up round.

    The works of a round are interleaved, and every other round is in reverse order, so that other load on the machine
    falls on all of them.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-int(warm_up), repeats):
        for name in sorted(works, reverse=bool(number % 2)):
            value = works[name]()
            if number >= 0:
                found[name].append(value)
    return {name: tuple(values) for name, values in found.items()}


def ratios(numerators: tuple[float, ...], denominators: tuple[float, ...]) -> tuple[float, ...]:
    """The ratio of each round."""
    return tuple(one / other for one, other in zip(numerators, denominators, strict=True))
