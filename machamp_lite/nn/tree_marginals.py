"""The distribution over the dependency trees of a sentence with one root: the sum over trees, and marginals of arcs.

The probability of a tree is proportional to the exponential of the sum of the scores of its arcs. By the matrix-tree
theorem, the sum over all trees is a determinant (Koo et al. 2007). It is computed by eliminating one word after the
other, in logarithms and without subtraction (Grassmann, Taksar & Heyman 1985): the determinant of weights that are
nearly those of a cycle would be lost in rounding.
"""

import torch
from torch import Tensor

from machamp_lite.nn.arc_marginals import INFINITE, MARGIN, NO_ARC
from machamp_lite.nn.ragged import is_item, to_device

# The number of intermediate values for the marginals of some sentences at a time.
_MOST_VALUES = 2**25


@torch.no_grad()
def log_tree_partition(scores: Tensor, lengths: Tensor) -> Tensor:
    """The logarithm of the sum over all trees with exactly one child of the root, in float64.

    ``scores[s, d, h]`` is the score of head h for the word d + 1; head 0 is the root. Arcs from a word to itself and
    from padding are ignored. *Shape:* (B, L, L + 1), (B,) -> (B,).
    """
    weights, total = _weights(scores, lengths)
    for word in reversed(range(scores.shape[1])):
        normaliser, through = _eliminate(weights, word)
        total = total + normaliser
        weights = torch.logaddexp(weights[:, :word, : word + 1], through)
    return total


@torch.no_grad()
def tree_marginals(scores: Tensor, lengths: Tensor) -> Tensor:
    """The probability of each arc: of all trees that have it. *Shape:* (B, L, L + 1), (B,) -> (B, L, L + 1).

    It is the gradient of ``log_tree_partition``. The time grows with the cube of the number of words.
    """
    step = max(1, _MOST_VALUES // max(1, scores.shape[1] ** 2 * scores.shape[2]))
    parts = zip(scores.split(step), lengths.split(step), strict=True)
    return torch.cat([_marginals(*part) for part in parts]) if len(scores) else scores


def _marginals(scores: Tensor, lengths: Tensor) -> Tensor:
    weights, _ = _weights(scores, lengths)
    steps = []
    for word in reversed(range(scores.shape[1])):
        normaliser, through = _eliminate(weights, word)
        row = (weights[:, word, : word + 1] - normaliser.unsqueeze(1)).exp()
        weights = torch.logaddexp(weights[:, :word, : word + 1], through)
        # The share of each new weight that is due to paths through the eliminated word.
        steps.append((word, row, (through - weights).exp().float()))
    marginals = torch.zeros_like(scores, dtype=torch.float64)
    for word, row, shares in reversed(steps):
        due = marginals[:, :word, : word + 1] * shares
        marginals[:, :word, : word + 1] -= due
        marginals[:, :word, word + 1] = due.sum(2)
        marginals[:, word, : word + 1] = due.sum(1) + row * (1 - due.sum((1, 2))).unsqueeze(1)
    return marginals.clamp(0, 1).masked_fill(~_is_arc(scores, lengths), 0.0).float()


def _eliminate(weights: Tensor, word: int) -> tuple[Tensor, Tensor]:
    """Eliminates the last word: the sum of the weights of its arcs, and the weights of paths through it.

    In such a path, an earlier word depends on this one, which depends on the root or another earlier word.
    *Shape:* (B, L, L + 1) -> (B,), (B, word, word + 1).
    """
    row = weights[:, word, : word + 1]
    normaliser = row.logsumexp(1)
    through = weights[:, :word, word + 1, None] + (row - normaliser.unsqueeze(1)).unsqueeze(1)
    is_loop = torch.eye(word + 1, dtype=torch.bool, device=weights.device)[1:]
    return normaliser, through.masked_fill(is_loop, NO_ARC)


def _is_arc(scores: Tensor, lengths: Tensor) -> Tensor:
    """Which arcs are between words of the sentence, or from the root. *Shape:* -> (B, L, L + 1)."""
    width = scores.shape[2]
    is_node = to_device(is_item(lengths + 1, width), scores.device)
    is_loop = torch.eye(width, dtype=torch.bool, device=scores.device)[1:]
    return is_node.unsqueeze(1) & is_node[:, 1:].unsqueeze(2) & ~is_loop


def _weights(scores: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of weights of arcs, and of what they were divided by per tree. *Shape:* -> (B, L, L + 1), (B,).

    Each word has one arc, so the weights of its arcs may be divided by any number. Trees with several roots get a
    negligible weight. A word of the padding depends on the root with the weight 1.
    """
    is_arc = _is_arc(scores, lengths)
    finite = scores.double().nan_to_num(nan=-INFINITE).clamp(-INFINITE, INFINITE)
    highest = finite.masked_fill(~is_arc, -INFINITE).amax(2).masked_fill(~is_arc.any(2), 0.0)
    weights = finite - highest.unsqueeze(2)
    words = is_arc.any(2).sum(1).double()
    # The trees with several roots weigh less than all choices of heads, and one with a single root at least this.
    lowest = weights.masked_fill(~is_arc, 0.0).amin(2).sum(1)
    penalty = MARGIN + words * (words + 1).log() - lowest
    weights[:, :, 0] -= penalty.unsqueeze(1)
    weights = weights.masked_fill(~is_arc, NO_ARC)
    weights[:, :, 0] = weights[:, :, 0].masked_fill(~is_arc.any(2), 0.0)
    return weights, highest.sum(1) + penalty
