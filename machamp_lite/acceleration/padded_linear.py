"""Matrix multiplications in bf16 on a CPU, with their number of rows padded to a multiple of 16.

oneDNN prepares a primitive for each new shape, which takes as long as ten multiplications. Without padding, almost
every batch would have new shapes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.nn.biaffine import ArcScores, PairLabelScores

# The number of rows of an AMX tile.
ROWS = 16


def uses_bf16_matmul(device: torch.device) -> bool:
    """Whether autocast to bf16 is on and the device is the CPU."""
    return device.type == "cpu" and torch.is_autocast_enabled("cpu")


def pad_rows(values: Tensor) -> Tensor:
    """Adds rows of zeros up to a multiple of ``ROWS``. *Shape:* (N, ...) -> (M, ...)."""
    extra = -len(values) % ROWS
    return functional.pad(values, (0, 0) * (values.dim() - 1) + (0, extra)) if extra else values


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.linear`` in bf16 with padded rows. *Shape:* (..., D), (E, D), (E,) -> (..., E)."""
    rows = values.reshape(-1, values.shape[-1])
    mapped = functional.linear(pad_rows(rows.to(torch.bfloat16)), weight, bias)
    return mapped[: len(rows)].view(*values.shape[:-1], len(weight))


class PaddedLinear(nn.Linear):
    """``torch.nn.Linear`` with padded rows in bf16 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """*Shape:* (..., D) -> (..., E)."""
        return linear(input, self.weight, self.bias) if uses_bf16_matmul(input.device) else super().forward(input)


class PaddedArcScores(ArcScores):
    """``ArcScores`` with padded rows in bf16 on a CPU."""

    def forward(self, dependents: Tensor, heads: Tensor) -> Tensor:
        """*Shape:* (B, L, D), (B, H, D) -> (B, L, H)."""
        if not uses_bf16_matmul(heads.device):
            return super().forward(dependents, heads)
        return linear(dependents, self.bilinear.t(), self.head_bias) @ heads.transpose(1, 2)


class PaddedPairLabelScores(PairLabelScores):
    """``PairLabelScores`` with padded rows in bf16 on a CPU."""

    def forward(self, dependents: Tensor, heads: Tensor, rows: Tensor) -> Tensor:
        """*Shape:* (N, D), (M, D), (N,) -> (N, R)."""
        if not uses_bf16_matmul(heads.device):
            return super().forward(dependents, heads, rows)
        padded_rows = functional.pad(rows, (0, -len(rows) % ROWS))
        return super().forward(pad_rows(dependents), heads, padded_rows)[: len(rows)]


_REPLACEMENTS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: PaddedLinear,
    ArcScores: PaddedArcScores,
    PairLabelScores: PaddedPairLabelScores,
}


def replace_linear_layers(module: nn.Module) -> None:
    """Replaces the class of every linear and biaffine layer within a module; parameters stay the same."""
    for child in module.modules():
        if type(child) in _REPLACEMENTS:
            replaced: Any = child
            replaced.__class__ = _REPLACEMENTS[type(child)]
