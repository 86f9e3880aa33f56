"""Records the shapes of matrix multiplications."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

MATMULS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)


class MatmulShapes(TorchDispatchMode):
    """Records the shapes of all operands of matrix multiplications."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[torch.Size] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MATMULS:
            self.shapes += [value.shape for value in args[-2:]]
        return func(*args, **(kwargs or {}))
