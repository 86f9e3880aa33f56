"""The best labels of an item with their probabilities, and their format in a file."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from machamp_lite.data.ranked import Ranked


def argmax(scores: Tensor) -> Tensor:
    """The class with the highest score, the first one of equals. *Shape:* (N, C) -> (N,).

    ``torch.argmax`` takes two to three times as long on a CPU.
    """
    return scores.max(-1).indices


def best_labels(
    log_probabilities: Tensor, first: Tensor, *, labels: Sequence[Any], top_n: int
) -> list[Ranked]:
    """The most probable labels of each item, after ``first``, the decoded one. *Shape:* (N, C), (N,) -> N lists.

    A label that was decoded together with the rest of its sentence may be less probable than others. Labels with the
    probability 0 (a logarithm of -inf) are left out.
    """
    # Logarithms are still in order where float32 rounds all probabilities to 0.
    raised = log_probabilities.scatter(1, first.unsqueeze(1), 1.0)
    ids = raised.topk(min(top_n, raised.shape[1]), dim=1).indices
    chosen = log_probabilities.gather(1, ids)
    return [
        [
            (labels[label_id], probability)
            for position, (label_id, probability) in enumerate(zip(row, probabilities, strict=True))
            if is_possible[position] or position == 0
        ]
        for row, probabilities, is_possible in zip(
            ids.tolist(), chosen.exp().tolist(), chosen.isfinite().tolist(), strict=True
        )
    ]


def format_ranked(ranked: Ranked, *, conn: str, sep: str) -> str:
    """Labels and probabilities as one string.

    >>> format_ranked([("NOUN", 0.75), ("VERB", 0.2)], conn="=", sep="|")
    'NOUN=0.7500|VERB=0.2000'
    """
    return sep.join(f"{label}{conn}{probability:.4f}" for label, probability in ranked)
