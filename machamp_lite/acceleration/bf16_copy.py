"""A copy of the encoder with bf16 weights for prediction on a CPU.

Autocast converts the inputs of each matrix multiplication to bf16 and computes most other steps in fp32; these
conversions take a sixth of the time of a forward pass.
"""

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.acceleration.padded_linear import uses_bf16_matmul
from machamp_lite.errors import first_line

logger = logging.getLogger(__name__)


class BF16InferenceCopy:
    """Calls a transformer, or for prediction in bf16 on a CPU its copy, which is renewed when weights change.

    The copy shares the buffers and the layer norms, which accept fp32 and bf16.
    """

    def __init__(self) -> None:
        self._copy: nn.Module | None = None
        self._versions: list[tuple[int, int]] = []
        self._failed = False

    def __call__(self, module: nn.Module, **inputs: Any) -> Any:
        """The output of the module or of its copy."""
        chosen = self.choose(module)
        if chosen is not module:
            try:
                return chosen(**inputs)
            except RuntimeError as error:
                # Some transformers combine their weights with tensors that they create in fp32.
                logger.warning("the encoder cannot predict with bf16 weights, autocast is used (%s)", first_line(error))
                self._copy, self._failed = None, True
        return module(**inputs)

    def choose(self, module: nn.Module) -> nn.Module:
        """The copy of a module for prediction in bf16 on a CPU, in all other cases the module itself."""
        if module.training or torch.is_grad_enabled():
            # Training changes the weights, and fused optimizers do not update their version.
            self._copy = None
            return module
        if self._failed or not uses_bf16_matmul(next(module.parameters()).device):
            return module
        parameters = list(module.parameters())
        versions = [_version(parameter) for parameter in parameters]
        if self._copy is None or versions != self._versions:
            # deepcopy uses these instead of copying the fp32 weights.
            replaced = {id(buffer): buffer for buffer in module.buffers()}
            replaced |= {id(parameter): _in_bf16(parameter) for parameter in parameters}
            norms = (child for child in module.modules() if isinstance(child, nn.LayerNorm))
            replaced |= {id(parameter): parameter for norm in norms for parameter in norm.parameters()}
            self._copy, self._versions = copy.deepcopy(module, replaced), versions
        return self._copy


def _in_bf16(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().to(torch.bfloat16), requires_grad=False)


def _version(values: Tensor) -> tuple[int, int]:
    """A value that changes when the tensor is changed in place or replaced."""
    return values.data_ptr(), 0 if values.is_inference() else values._version
