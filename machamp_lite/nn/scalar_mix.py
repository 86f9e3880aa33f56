"""Learned weighted means of encoder layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ScalarMix(nn.Module):
    """The weights of K layers: a softmax times a scale (Peters et al. 2018, ELMo)."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = layers
        if layers > 1:
            self.weights = nn.Parameter(torch.zeros(layers))
            self.scale = nn.Parameter(torch.ones(()))

    def forward(self) -> Tensor:
        """*Shape:* (K,)."""
        return self.weights.softmax(0) * self.scale


def mix(mixes: Sequence[ScalarMix], layers: Tensor) -> Tensor:
    """Weighted means of the same layers, by one matrix multiplication. *Shape:* T mixes, (K, N, D) -> (T, N, D)."""
    if len(layers) == 1:
        return layers.expand(len(mixes), -1, -1)
    weights = torch.stack([weights() for weights in mixes])
    # On a CPU, converting the layers to bf16 takes longer than the multiplication.
    with torch.autocast("cpu", enabled=False):
        return (weights.to(layers.dtype) @ layers.flatten(1)).unflatten(1, layers.shape[1:])
