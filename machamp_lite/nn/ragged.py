"""Between flat and padded tensors: the one place where rows of unequal length are unfolded.

Lengths are on the host, wherever the rows are: to ask a GPU for them would be to wait for it. Where things stand is
worked out on the host too, and sent.
"""

import torch
from torch import Tensor


def starts_of(lengths: Tensor) -> Tensor:
    """Starts of rows laid end to end, and the end of the last. *Shape:* (B,) -> (B + 1,)."""
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0))


def longest_of(lengths: Tensor) -> int:
    """The longest length; 0 without any. *Shape:* (B,)."""
    return int(lengths.max()) if len(lengths) else 0


def padded_places(lengths: Tensor) -> Tensor:
    """Where each item of flat rows stands in a padded (B, L) tensor read as (B * L,), L the longest row.

    *Shape:* (B,) -> (N,), N the sum of the lengths.
    """
    rows = torch.arange(len(lengths)).repeat_interleave(lengths)
    within = torch.arange(len(rows)) - starts_of(lengths)[:-1].repeat_interleave(lengths)
    return rows * longest_of(lengths) + within


def is_item(lengths: Tensor, width: int) -> Tensor:
    """Which places of padded rows hold items. *Shape:* (B,) -> (B, width)."""
    return torch.arange(width).unsqueeze(0) < lengths.unsqueeze(1)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, without waiting for it."""
    if device.type == "cuda":
        # A larger copy from memory that can be swapped out is waited for.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def pad(flat: Tensor, lengths: Tensor, *, value: float = 0.0) -> Tensor:
    """Unfolds flat rows. *Shape:* (N, ...), (B,) -> (B, L, ...), filled with ``value`` beyond each length."""
    width = longest_of(lengths)
    padded = flat.new_full((len(lengths) * width, *flat.shape[1:]), value)
    padded = padded.index_copy(0, to_device(padded_places(lengths), flat.device), flat)
    return padded.view(len(lengths), width, *flat.shape[1:])


def flatten(padded: Tensor, lengths: Tensor) -> Tensor:
    """Folds padded rows back. *Shape:* (B, L, ...), (B,) -> (N, ...)."""
    return padded.flatten(0, 1).index_select(0, to_device(padded_places(lengths), padded.device))
