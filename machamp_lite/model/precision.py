"""The floating-point precision of a model."""

from collections.abc import Callable, Mapping
from functools import cache

import torch


@cache
def has_fast_bfloat16(device_type: str) -> bool:
    """Whether the hardware multiplies matrices in bfloat16: AVX-512 BF16 or AMX of CPUs, GPUs from Ampere on."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older versions of torch do not say what a CPU has.
    of_cpu: Callable[[], Mapping[str, bool]] = getattr(torch.cpu, "get_capabilities", dict)
    capabilities = of_cpu() if device_type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolved(precision: str, device: torch.device) -> str:
    """Replaces ``auto`` by ``bf16`` if it is fast on the device, or else by ``fp32``."""
    if precision != "auto":
        return precision
    return "bf16" if has_fast_bfloat16(device.type) else "fp32"
