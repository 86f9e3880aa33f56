"""Attention masks of transformers, built without waiting for the GPU.

transformers omits a mask that masks nothing. To find out, it reads the mask, and waits until the GPU has computed it.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

from machamp_lite.acceleration.packed_attention import PACKED, PACKED_FAST_DROPOUT

_MaskFunction = Callable[..., Tensor | None]


def skip_mask_sync() -> None:
    """Makes transformers keep every mask that is on a GPU, in the whole process."""
    for name in ("sdpa", PACKED, PACKED_FAST_DROPOUT):
        AttentionMaskInterface.register(name, _without_sync(sdpa_mask))
    AttentionMaskInterface.register("eager", _without_sync(eager_mask))


def _without_sync(make: _MaskFunction) -> _MaskFunction:
    def mask(*arguments: Any, attention_mask: Tensor | None = None, **options: Any) -> Tensor | None:
        if attention_mask is not None and is_asynchronous(attention_mask):
            options |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        return make(*arguments, attention_mask=attention_mask, **options)

    return mask


def is_asynchronous(tensor: Tensor) -> bool:
    """Whether reading a value of the tensor waits for its device."""
    return tensor.device.type != "cpu"
