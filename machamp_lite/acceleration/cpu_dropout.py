"""Dropout whose random bits are drawn for four values at a time: on a CPU they are most of what dropout costs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Values of a 16-bit integer: a probability is rounded to so many parts.
PARTS = 2**16


def dropout(values: Tensor, probability: float) -> Tensor:
    """Sets each value to 0 with a probability, rounded to 1/65536, and scales the others to the same mean.

    On a CPU one draw of torch's generator decides over four values. *Shape:* any -> the same.
    """
    dropped = min(round(probability * PARTS), PARTS - 1)
    if not dropped:
        return values
    if values.device.type != "cpu":
        return functional.dropout(values, probability)
    draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    numbers = draws.view(torch.int16)[: values.numel()].view(values.shape)
    # Integers are written, and become factors, several times as fast as booleans.
    is_kept = torch.empty(values.shape, dtype=torch.int8)
    torch.ge(numbers, dropped - PARTS // 2, out=is_kept)
    return _Kept.apply(values, is_kept, PARTS / (PARTS - dropped))


class _Kept(torch.autograd.Function):
    """Values times a mask times a factor; of the mask a byte a value is remembered."""

    @staticmethod
    def forward(context: Any, values: Tensor, is_kept: Tensor, factor: float) -> Tensor:
        context.save_for_backward(is_kept)
        context.factor = factor
        return (values * is_kept).mul_(factor)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (is_kept,) = context.saved_tensors
        return (gradient * is_kept).mul_(context.factor), None, None


class Dropout(nn.Dropout):
    """``torch.nn.Dropout`` by ``dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        """*Shape:* any -> the same."""
        return dropout(input, self.p) if self.training else input


def replace_dropout(module: nn.Module) -> None:
    """Puts ``Dropout`` in the place of every ``torch.nn.Dropout`` within a module."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
