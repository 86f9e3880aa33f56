"""Dropout that draws random bits for four values at a time, because drawing them is most of its cost on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# The number of values of a 16-bit integer: a probability is rounded to a multiple of 1 / STEPS.
STEPS = 2**16


def dropout(values: Tensor, probability: float) -> Tensor:
    """Sets each value to 0 with a probability, rounded to 1/65536, and scales the others to keep the mean.

    On a CPU, one random number of torch's generator is used for four values. *Shape:* any -> the same.
    """
    dropped = min(round(probability * STEPS), STEPS - 1)
    if not dropped:
        return values
    if values.device.type != "cpu":
        return functional.dropout(values, probability)
    draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    numbers = draws.view(torch.int16)[: values.numel()].view(values.shape)
    # Writing and multiplying integers is several times as fast as booleans.
    is_kept = torch.empty(values.shape, dtype=torch.int8)
    torch.ge(numbers, dropped - STEPS // 2, out=is_kept)
    return _Kept.apply(values, is_kept, STEPS / (STEPS - dropped))


class _Kept(torch.autograd.Function):
    """Values times a mask times a factor; the mask is saved for backward in one byte per value."""

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
    """``torch.nn.Dropout`` that uses ``dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        """*Shape:* any -> the same."""
        return dropout(input, self.p) if self.training else input


def replace_dropout(module: nn.Module) -> None:
    """Replaces the class of every ``torch.nn.Dropout`` within a module by ``Dropout``."""
    for child in module.modules():
        if type(child) is nn.Dropout:
            replaced: Any = child
            replaced.__class__ = Dropout
