"""The best labels of an item, each with its probability, and how they are written."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

# Labels from the best on, each with its probability.
Ranked = list[tuple[Any, float]]


def argmax(scores: Tensor) -> Tensor:
    """The label with the highest score of each item, the first one of equals. *Shape:* (N, C) -> (N,).

    torch's ``argmax`` takes two to three times as long on a CPU.
    """
    return scores.max(-1).indices


def best_labels(
    log_probabilities: Tensor, first: Tensor, *, labels: Sequence[Any], top_n: int
) -> list[Ranked]:
    """The most probable labels of each item, but ``first`` first of all. *Shape:* (N, C), (N,) -> N lists.

    What is decoded may be less probable than another label (of a tree, or of a sentence as a whole), or as probable.
    Labels out of reach, with -inf, are left out.
    """
    # Logarithms, because probabilities that are all 0 in float32 still have an order.
    raised = log_probabilities.scatter(1, first.unsqueeze(1), 1.0)
    numbers = raised.topk(min(top_n, raised.shape[1]), dim=1).indices
    chosen = log_probabilities.gather(1, numbers)
    return [
        [
            (labels[number], probability)
            for place, (number, probability) in enumerate(zip(row, probabilities, strict=True))
            if reachable[place] or place == 0
        ]
        for row, probabilities, reachable in zip(
            numbers.tolist(), chosen.exp().tolist(), chosen.isfinite().tolist(), strict=True
        )
    ]


def merge(ranked: Ranked, *, first: Any, top_n: int) -> Ranked:
    """Sums the probabilities of equal labels; ``first`` first, the others by probability.

    >>> merge([("a", 0.25), ("b", 0.375), ("a", 0.25)], first="b", top_n=2)
    [('b', 0.375), ('a', 0.5)]
    """
    sums: dict[Any, float] = {}
    for label, probability in ranked:
        sums[label] = sums.get(label, 0.0) + probability
    return sorted(sums.items(), key=lambda pair: (pair[0] != first, -pair[1]))[:top_n]


def joined(ranked: Ranked, *, conn: str, sep: str) -> str:
    """Labels and probabilities as one string.

    >>> joined([("NOUN", 0.75), ("VERB", 0.2)], conn="=", sep="|")
    'NOUN=0.7500|VERB=0.2000'
    """
    return sep.join(f"{label}{conn}{probability:.4f}" for label, probability in ranked)
