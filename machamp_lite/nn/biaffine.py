"""Biaffine scores as matrix multiplications (Dozat and Manning 2017)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ArcScores(nn.Module):
    """Scores every head for every word: bilinear in both, with a bias per head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bilinear = nn.Parameter(torch.empty(width, width))
        self.head_bias = nn.Parameter(torch.zeros(width))
        nn.init.orthogonal_(self.bilinear)
        with torch.no_grad():
            # Initial scores have a variance of about one, so that the softmax over heads is not peaked.
            self.bilinear.div_(math.sqrt(width))

    def forward(self, dependents: Tensor, heads: Tensor) -> Tensor:
        """*Shape:* (B, L, D), (B, H, D) -> (B, L, H)."""
        return self.map_dependents(dependents) @ heads.transpose(1, 2)

    def map_dependents(self, dependents: Tensor) -> Tensor:
        """What is multiplied by the vectors of heads. *Shape:* (..., D) -> (..., D)."""
        return functional.linear(dependents, self.bilinear.t(), self.head_bias)


class PairLabelScores(nn.Module):
    """Scores R labels for given pairs of dependent and head: bilinear and linear in both, with a bias."""

    def __init__(self, *, width: int, labels: int) -> None:
        super().__init__()
        self.bilinear = nn.Parameter(torch.zeros(labels, width, width))
        self.linear = nn.Linear(2 * width, labels)

    def forward(self, dependents: Tensor, heads: Tensor, rows: Tensor) -> Tensor:
        """The scores of each dependent with the head in the given row. *Shape:* (N, D), (M, D), (N,) -> (N, R)."""
        labels, width, _ = self.bilinear.shape
        heads = heads.index_select(0, rows)
        # One multiplication for all labels: nn.Bilinear has one per label, and a backward pass many times slower.
        mapped = functional.linear(heads, self.bilinear.view(labels * width, width)).view(-1, labels, width)
        pairs = (mapped @ dependents.unsqueeze(-1)).squeeze(-1)
        return pairs + self.linear(torch.cat([dependents, heads], dim=-1))
