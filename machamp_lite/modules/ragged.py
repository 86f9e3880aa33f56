"""Between flat and padded tensors: the one place where rows of unequal length are unfolded."""

import torch
from torch import Tensor


def starts_of(lengths: Tensor) -> Tensor:
    """Starts of rows laid end to end, and the end of the last. *Shape:* (B,) -> (B + 1,)."""
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0))


def padded_places(lengths: Tensor) -> Tensor:
    """Where each item of flat rows stands in a padded (B, L) tensor read as (B * L,), L the longest row.

    *Shape:* (B,) -> (N,), N the sum of the lengths.
    """
    width = int(lengths.max()) if len(lengths) else 0
    rows = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    within = torch.arange(len(rows), device=lengths.device) - starts_of(lengths)[:-1].repeat_interleave(
        lengths
    )
    return rows * width + within


def pad(flat: Tensor, lengths: Tensor, *, value: float = 0.0) -> Tensor:
    """Unfolds flat rows. *Shape:* (N, ...), (B,) -> (B, L, ...), filled with ``value`` beyond each length."""
    width = int(lengths.max()) if len(lengths) else 0
    padded = flat.new_full((len(lengths) * width, *flat.shape[1:]), value)
    padded = padded.index_copy(0, padded_places(lengths), flat)
    return padded.view(len(lengths), width, *flat.shape[1:])


def flatten(padded: Tensor, lengths: Tensor) -> Tensor:
    """Folds padded rows back. *Shape:* (B, L, ...), (B,) -> (N, ...)."""
    return padded.flatten(0, 1).index_select(0, padded_places(lengths))
