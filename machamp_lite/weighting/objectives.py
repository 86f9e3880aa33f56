"""Losses over items, each a mean over the items it is given."""

from torch import Tensor
from torch.nn import functional


def label_loss(scores: Tensor, gold: Tensor) -> Tensor:
    """Mean cross-entropy. *Shape:* (N, C), (N,) -> ()."""
    return functional.cross_entropy(scores, gold)
