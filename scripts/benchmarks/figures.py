"""What a section of the benchmark gives: figures with their spread and their targets."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Unit = Literal["ratio", "s"]


class NotMeasuredError(Exception):
    """A section that this config or machine cannot have; says why in one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is meant to be, at least or at most."""

    value: float
    kind: Literal["at least", "at most"]

    def is_reached(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return value >= self.value if self.kind == "at least" else value <= self.value


def at_least(value: float) -> Target:
    """A target where more is better."""
    return Target(value, "at least")


def at_most(value: float) -> Target:
    """A target where less is better."""
    return Target(value, "at most")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, with its value in each round that counts; ``sources`` are the medians that it comes from, by name."""

    name: str
    what: str
    unit: Unit
    values: tuple[float, ...]
    target: Target | None = None
    sources: Mapping[str, float] = field(default_factory=dict)

    @property
    def measured(self) -> float:
        """The median over rounds."""
        return statistics.median(self.values)

    @property
    def is_reached(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        return None if self.target is None else self.target.is_reached(self.measured)

    def as_json(self) -> dict[str, Any]:
        """All there is to it, for a file."""
        target = self.target and {"value": self.target.value, "kind": self.target.kind}
        return {
            "what": self.what,
            "unit": self.unit,
            "measured": _short(self.measured),
            "rounds": [_short(value) for value in self.values],
            "target": target,
            "reached": self.is_reached,
            "from": {name: _short(value) for name, value in self.sources.items()},
        }


def _short(value: float) -> float:
    """Four digits of a value, which is more than timing knows."""
    return float(f"{value:.4g}")
