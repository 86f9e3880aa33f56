"""Conversion between flat and padded tensors.

Lengths are always on the host, because reading them from a GPU would wait for it. Positions are computed on the host
and then copied to the device. B is the number of rows, N the sum of their lengths, L the largest length.
"""

import torch
from torch import Tensor


def starts_of(lengths: Tensor) -> Tensor:
    """The start of each row in a flat tensor, and the end of the last row. *Shape:* (B,) -> (B + 1,)."""
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0))


def longest_of(lengths: Tensor) -> int:
    """The largest length; 0 without rows. *Shape:* (B,)."""
    return int(lengths.max()) if len(lengths) else 0


def padded_positions(lengths: Tensor) -> Tensor:
    """The position of each item of flat rows in a padded tensor, flattened to (B * L,). *Shape:* (B,) -> (N,)."""
    rows = torch.arange(len(lengths)).repeat_interleave(lengths)
    within = torch.arange(len(rows)) - starts_of(lengths)[:-1].repeat_interleave(lengths)
    return rows * longest_of(lengths) + within


def is_item(lengths: Tensor, width: int) -> Tensor:
    """Which positions of padded rows are items, not padding. *Shape:* (B,) -> (B, width)."""
    return torch.arange(width).unsqueeze(0) < lengths.unsqueeze(1)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a tensor of the host to a device without waiting for it."""
    if device.type == "cuda":
        # Only copies from pinned memory are asynchronous.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def pad(flat: Tensor, lengths: Tensor, *, value: float = 0.0) -> Tensor:
    """Pads flat rows with ``value``. *Shape:* (N, ...), (B,) -> (B, L, ...)."""
    width = longest_of(lengths)
    padded = flat.new_full((len(lengths) * width, *flat.shape[1:]), value)
    padded = padded.index_copy(0, to_device(padded_positions(lengths), flat.device), flat)
    return padded.view(len(lengths), width, *flat.shape[1:])


def flatten(padded: Tensor, lengths: Tensor) -> Tensor:
    """Removes the padding. *Shape:* (B, L, ...), (B,) -> (N, ...)."""
    return padded.flatten(0, 1).index_select(0, to_device(padded_positions(lengths), padded.device))
