"""Low-rank adapters for the linear layers of an encoder (LoRA, Hu et al. 2022), with the package peft."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from machamp_lite.errors import ConfigError, did_you_mean, missing_packages_line

# The prefix in the names of the weights that peft adds.
_ADDED = "lora_"


def add_adapters(
    transformer: nn.Module, *, rank: int, alpha: float, dropout: float, target_modules: Sequence[str] | None
) -> None:
    """Freezes a transformer and adds adapters to the linear layers in ``target_modules``; their output is 0 at first.

    By default, all linear layers get one. Raises ``ConfigError`` without peft, and for unknown names of layers.
    """
    if find_spec("peft") is None:
        raise ConfigError(missing_packages_line("encoder -> lora", ["peft"], extra="lora"))
    from peft import LoraConfig, inject_adapter_in_model

    layers = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    for target in target_modules or ():
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            known = {name.rpartition(".")[2] for name in layers}
            raise ConfigError(
                f"encoder -> lora -> target_modules: the encoder has no linear layer '{target}'"
                f"{did_you_mean(target, known)}"
            )
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(target_modules or layers)
    )
    with warnings.catch_warnings():
        # peft warns that it corrects an option for transposed layers.
        warnings.simplefilter("ignore")
        inject_adapter_in_model(config, transformer)


def merge_adapters(transformer: nn.Module) -> None:
    """Adds the adapters, if there are any, to the weights of their layers, and restores the original layers."""
    merged = False
    for parent in list(transformer.modules()):
        for name, module in list(parent.named_children()):
            adapted: Any = module
            if hasattr(adapted, "lora_A"):
                adapted.merge()
                setattr(parent, name, adapted.get_base_layer())
                merged = True
    if merged:
        transformer.requires_grad_(True)


def without_adapters(transformer: nn.Module) -> list[nn.Parameter]:
    """The parameters of the transformer without those of adapters."""
    return [parameter for name, parameter in transformer.named_parameters() if _ADDED not in name]
