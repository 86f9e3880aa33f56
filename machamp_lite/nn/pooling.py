"""One state per word or text from the states of its subwords."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.nn.ragged import is_item, longest_of, pad, starts_of, to_device

Pooling = Literal["first", "last", "first_last", "mean", "max", "attention"]


def pool(layers: Sequence[Tensor], rows: Tensor, *, starts: Tensor, ends: Tensor, pooling: Pooling) -> Tensor:
    """The state of each span of subwords, in each layer; with "attention" those of all its subwords.

    ``rows`` are the rows of all subwords in the layers, ``starts`` and ``ends`` the first and last subword of each span
    (all on the CPU). *Shape:* K times (R, D), (S,), (N,), (N,) -> (K, N, D), or (K, sum of lengths, D).
    """
    if pooling == "first":
        return _gather(layers, rows[starts])
    if pooling == "last" or (torch.equal(starts, ends) and pooling != "attention"):
        return _gather(layers, rows[ends])
    if pooling == "first_last":
        return (_gather(layers, rows[starts]) + _gather(layers, rows[ends])) / 2
    lengths = ends - starts + 1
    owners = torch.arange(len(lengths)).repeat_interleave(lengths)
    subwords = torch.arange(len(owners)) + (starts - starts_of(lengths)[:-1])[owners]
    if pooling == "attention":
        return _gather(layers, rows[subwords])
    device = layers[0].device
    rows, firsts = to_device(rows[subwords], device), to_device(starts_of(lengths)[:-1], device)
    if pooling == "mean":
        return torch.stack([functional.embedding_bag(rows, layer, firsts, mode="mean") for layer in layers])
    return torch.stack([_largest(layer, rows, firsts) for layer in layers])


def _largest(layer: Tensor, rows: Tensor, firsts: Tensor) -> Tensor:
    """The largest values of each span. *Shape:* (R, D), (S,), (N,) -> (N, D)."""
    # On a CPU, the gradient of an indexed maximum is several times faster than that of any reduction.
    with torch.no_grad():
        indices = torch.embedding_bag(layer, rows, firsts, mode=2)[3]
    return layer.gather(0, indices)


def mean_of_segments(states: Tensor, segments: Tensor) -> Tensor:
    """The mean state of the segments of each sentence. *Shape:* (K, P, D), (B,) -> (K, B, D)."""
    if len(segments) == states.shape[1]:
        return states
    sums = pad(states.transpose(0, 1), segments).sum(1)
    return (sums / to_device(segments, states.device)[:, None, None]).transpose(0, 1)


class AttentionPooling(nn.Module):
    """A mean of subwords, weighted by their similarity to a learnt query (Yang et al. 2016).

    The query starts as zeros, which give the mean.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, subwords: Tensor, lengths: Tensor) -> Tensor:
        """Pools flat rows of subwords. *Shape:* (S, D), (P,) -> (P, D)."""
        padded = pad(subwords, lengths)
        scores = (padded @ self.query.to(padded.dtype)).float() / math.sqrt(padded.shape[-1])
        is_subword = to_device(is_item(lengths, longest_of(lengths)), scores.device)
        weights = scores.masked_fill(~is_subword, -math.inf).softmax(-1)
        return (weights.to(padded.dtype).unsqueeze(1) @ padded).squeeze(1)


def _gather(layers: Sequence[Tensor], rows: Tensor) -> Tensor:
    """The same rows of all layers. *Shape:* K times (R, D), (M,) -> (K, M, D)."""
    rows = to_device(rows, layers[0].device)
    return torch.stack([layer.index_select(0, rows) for layer in layers])
