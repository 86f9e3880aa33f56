"""A learnt weighted mean of encoder layers."""

import torch
from torch import Tensor, nn


class ScalarMix(nn.Module):
    """Mixes K layers by softmaxed weights times a scale (Peters et al. 2018, ELMo). One layer passes through."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        if layers > 1:
            self.weights = nn.Parameter(torch.zeros(layers))
            self.scale = nn.Parameter(torch.ones(()))

    def forward(self, layers: Tensor) -> Tensor:
        """*Shape:* (K, N, D) -> (N, D)."""
        if len(layers) == 1:
            return layers[0]
        return torch.einsum("k,knd->nd", self.weights.softmax(0) * self.scale, layers)
