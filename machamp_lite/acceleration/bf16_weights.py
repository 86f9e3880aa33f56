"""A module whose weights are in bfloat16, so that nothing on its way through it is converted.

Autocast rounds what goes into each product, and most of a transformer's other steps are then taken in fp32: a sixth of
the time of a forward goes to conversions.
"""

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.acceleration.padded_linear import rounds_rows
from machamp_lite.errors import first_line

logger = logging.getLogger(__name__)


class RoundedWeights:
    """Scores with a module in bf16 by a copy with rounded weights, which it keeps.

    Buffers are shared, and so are the weights of layer norms, which then take numbers of both kinds.
    """

    def __init__(self) -> None:
        self._copy: nn.Module | None = None
        self._state: list[tuple[int, int]] = []
        self._fails = False

    def call(self, module: nn.Module, **inputs: Any) -> Any:
        """What the module, or its copy in its place, makes of inputs."""
        chosen = self.of(module)
        if chosen is not module:
            try:
                return chosen(**inputs)
            except RuntimeError as error:
                # Some mix what is rounded with numbers of their own.
                logger.warning("the encoder is not computed with rounded weights (%s)", first_line(error))
                self._copy, self._fails = None, True
        return module(**inputs)

    def of(self, module: nn.Module) -> nn.Module:
        """The copy of a module where it only scores, in bf16 on a CPU; anywhere else the module itself."""
        if module.training or torch.is_grad_enabled():
            # Whoever changes weights passes here before, and fused optimizers leave no other trace.
            self._copy = None
            return module
        if self._fails or not rounds_rows(next(module.parameters()).device):
            return module
        parameters = list(module.parameters())
        state = [_state_of(parameter) for parameter in parameters]
        if self._copy is None or state != self._state:
            # The weights take the place of their originals, which are never copied.
            taken = {id(buffer): buffer for buffer in module.buffers()}
            taken |= {id(parameter): _rounded(parameter) for parameter in parameters}
            norms = (child for child in module.modules() if isinstance(child, nn.LayerNorm))
            taken |= {id(parameter): parameter for norm in norms for parameter in norm.parameters()}
            self._copy, self._state = copy.deepcopy(module, taken), state
        return self._copy


def _rounded(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().to(torch.bfloat16), requires_grad=False)


def _state_of(values: Tensor) -> tuple[int, int]:
    """What is another one once values were changed, or others put in their place."""
    return values.data_ptr(), 0 if values.is_inference() else values._version
