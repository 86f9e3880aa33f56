"""Biaffine scores by matrix products (Dozat and Manning 2017)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.acceleration.padded_linear import linear, rounded, rounds_rows


class ArcScores(nn.Module):
    """Scores every head for every word: a bilinear form and a bias for each head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bilinear = nn.Parameter(torch.empty(width, width))
        self.head_bias = nn.Parameter(torch.zeros(width))
        nn.init.orthogonal_(self.bilinear)
        with torch.no_grad():
            # Scores start with a variance near one, so that the softmax over heads starts soft.
            self.bilinear.div_(math.sqrt(width))

    def forward(self, dependents: Tensor, heads: Tensor) -> Tensor:
        """*Shape:* (B, L, D), (B, H, D) -> (B, L, H)."""
        return linear(dependents, self.bilinear.t(), self.head_bias) @ heads.transpose(1, 2)


class PairLabelScores(nn.Module):
    """Scores R labels for given pairs of dependent and head: bilinear and linear in both, with a bias."""

    def __init__(self, *, width: int, labels: int) -> None:
        super().__init__()
        self.bilinear = nn.Parameter(torch.zeros(labels, width, width))
        self.linear = nn.Linear(2 * width, labels)

    def forward(self, dependents: Tensor, heads: Tensor, places: Tensor) -> Tensor:
        """The scores of each dependent with the head at its place. *Shape:* (N, D), (M, D), (N,) -> (N, R)."""
        labels, width, _ = self.bilinear.shape
        # One product over all labels, and not one a label: nn.Bilinear's backward is many times slower.
        weights = self.bilinear.view(labels * width, width)
        scores_alone = not torch.is_grad_enabled() and places.device.type == "cpu"
        if scores_alone and not rounds_rows(places.device):
            own = self.linear(torch.cat([dependents, heads.index_select(0, places)], dim=-1))
            return _pairs_head_by_head(dependents, heads, places, weights) + own
        count, dependents, heads = len(places), rounded(dependents), rounded(heads.index_select(0, places))
        mapped = functional.linear(heads, weights)
        pairs = (mapped.view(-1, labels, width) @ dependents.unsqueeze(-1)).squeeze(-1)
        scores = pairs + self.linear(torch.cat([dependents, heads], dim=-1))
        return scores if len(scores) == count else scores[:count]


def _pairs_head_by_head(dependents: Tensor, heads: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """The bilinear part, where each head is mapped but once, however many dependents it has; all is on the host.

    Heads with as many dependents are one product. *Shape:* (N, D), (M, D), (N,), (R * D, D) -> (N, R).
    """
    chosen, numbers, counts = places.unique(return_inverse=True, return_counts=True)
    by_count = counts.argsort(stable=True)
    order = by_count.argsort()[numbers].argsort(stable=True)
    width = dependents.shape[1]
    labels = len(weights) // width
    mapped = functional.linear(heads.index_select(0, chosen[by_count]), weights).view(-1, labels, width)
    sizes, numbers_of_size = counts[by_count].unique_consecutive(return_counts=True)
    rows = dependents.index_select(0, order).split((sizes * numbers_of_size).tolist())
    pairs = [
        (part.view(-1, size, width) @ own.transpose(1, 2)).flatten(0, 1)
        for part, own, size in zip(rows, mapped.split(numbers_of_size.tolist()), sizes.tolist(), strict=True)
    ]
    scores = dependents.new_empty(len(order), labels)
    return scores.index_copy_(0, order, torch.cat(pairs)) if pairs else scores
