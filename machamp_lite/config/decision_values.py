"""The values of the options by which one prediction decides, as flags or as arguments; imports no torch."""

from collections.abc import Iterator
from numbers import Real

from machamp_lite.config.task_types import LARGEST_TAU
from machamp_lite.errors import shorten


def decision_value_faults(
    *, threshold: object, tau: object, min_confidence: object, plain: bool
) -> Iterator[str]:
    """One line for each value that is no number or out of range, or that ``plain`` excludes."""
    ranges = {
        "threshold": (threshold, 0, 1),
        "min_confidence": (min_confidence, 0, 1),
        "tau": (tau, -LARGEST_TAU, LARGEST_TAU),
    }
    for name, (value, low, high) in ranges.items():
        if value is None:
            continue
        if not (isinstance(value, Real) and low <= float(value) <= high):
            found = f"{value:g}" if isinstance(value, Real) else shorten(repr(value))
            yield f"--{name}: found {found}, expected a number from {low} to {high}"
        if plain:
            yield f"--plain: found together with --{name}, expected one of them"
