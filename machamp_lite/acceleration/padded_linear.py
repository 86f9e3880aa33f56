"""Linear maps in bfloat16 on a CPU: oneDNN prepares a product for each new number of rows, so those are rounded up.

To prepare one takes as long as ten of them, and batches of words bring another number each time.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Numbers of rows are rounded up to multiples of this, the rows of a tile of AMX.
ROWS = 16


def rounds_rows(device: torch.device) -> bool:
    """Whether products there, in the precision of now, are faster with a rounded number of rows."""
    return device.type == "cpu" and torch.is_autocast_enabled("cpu")


def rounded(values: Tensor) -> Tensor:
    """The same rows in bfloat16, with rows of zeros behind them, where that is faster. *Shape:* (N, D) -> (M, D)."""
    if not rounds_rows(values.device):
        return values
    count, more = len(values), -len(values) % ROWS
    if not more:
        return values.to(torch.bfloat16)
    if torch.is_grad_enabled():
        return functional.pad(values.to(torch.bfloat16), (0, 0, 0, more))
    rows = values.new_empty(count + more, *values.shape[1:], dtype=torch.bfloat16)
    rows[:count].copy_(values)
    rows[count:].zero_()
    return rows


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.linear`` with rounded rows. *Shape:* (..., D), (E, D), (E,) -> (..., E)."""
    if not rounds_rows(values.device):
        return functional.linear(values, weight, bias)
    rows = values.reshape(-1, values.shape[-1])
    products = functional.linear(rounded(rows), weight, bias)
    return products[: len(rows)].view(*values.shape[:-1], len(weight))


class Linear(nn.Linear):
    """``torch.nn.Linear`` by ``linear``."""

    def forward(self, input: Tensor) -> Tensor:
        """*Shape:* (..., D) -> (..., E)."""
        return linear(input, self.weight, self.bias)


def replace_linear_layers(module: nn.Module) -> None:
    """Makes a ``Linear`` of every ``torch.nn.Linear`` within a module; its parameters stay the same."""
    for child in module.modules():
        if type(child) is nn.Linear:
            made: Any = child
            made.__class__ = Linear
