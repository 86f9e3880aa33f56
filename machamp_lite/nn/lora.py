"""Low-rank adapters beside the linear maps of an encoder (Hu et al. 2022), by the package peft."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from machamp_lite.errors import ConfigError, did_you_mean

# How peft calls the weights that it adds.
_ADDED = "lora_"


def add_adapters(
    transformer: nn.Module, *, rank: int, alpha: float, dropout: float, target_modules: Sequence[str] | None
) -> None:
    """Freezes a transformer and puts an adapter, which starts as zero, beside each linear map of the given names.

    Without names, every linear map has one. Raises ``ConfigError`` without peft, and for names that are not there.
    """
    if find_spec("peft") is None:
        raise ConfigError(
            "encoder -> lora: found no package 'peft', expected it to be installed: pip install 'machamp_lite[lora]'"
        )
    from peft import LoraConfig, inject_adapter_in_model

    maps = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    for target in target_modules or ():
        if not any(name == target or name.endswith(f".{target}") for name in maps):
            known = {name.rpartition(".")[2] for name in maps}
            raise ConfigError(
                f"encoder -> lora -> target_modules: the encoder has no linear map '{target}'"
                f"{did_you_mean(target, known)}"
            )
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(target_modules or maps)
    )
    with warnings.catch_warnings():
        # peft tells that it sets an option of transposed maps by itself.
        warnings.simplefilter("ignore")
        inject_adapter_in_model(config, transformer)


def merge_adapters(transformer: nn.Module) -> None:
    """Adds adapters, if there are any, to the weights that they stand beside, and leaves the bare maps."""
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
    """The parameters that are beside no others: those of the transformer itself."""
    return [parameter for name, parameter in transformer.named_parameters() if _ADDED not in name]
