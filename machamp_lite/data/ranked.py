"""Labels of an item with their probabilities, the best first."""

from collections.abc import Iterable
from typing import Any

Ranked = list[tuple[Any, float]]


def merge(ranked: Iterable[tuple[Any, float]], *, first: Any, top_n: int) -> Ranked:
    """Adds the probabilities of equal labels; ``first`` is followed by the others, by probability.

    >>> merge([("a", 0.25), ("b", 0.375), ("a", 0.25)], first="b", top_n=2)
    [('b', 0.375), ('a', 0.5)]
    """
    sums: dict[Any, float] = {}
    for label, probability in ranked:
        sums[label] = sums.get(label, 0.0) + probability
    return sorted(sums.items(), key=lambda pair: (pair[0] != first, -pair[1]))[:top_n]
