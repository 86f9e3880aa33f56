"""Masks of transformers' attention, made without asking the device what is in them: each answer waits for a GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor
from transformers import AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

_is_unasked: ContextVar[bool] = ContextVar("is_unasked", default=False)


@contextmanager
def skip_mask_sync() -> Iterator[None]:
    """Within it, transformers take every mask that they are given for one that hides something."""
    token = _is_unasked.set(True)
    try:
        yield
    finally:
        _is_unasked.reset(token)


def _unasked(make: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
    def mask(*arguments: Any, attention_mask: Tensor | None = None, **options: Any) -> Tensor | None:
        if _is_unasked.get() and attention_mask is not None:
            options |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        return make(*arguments, attention_mask=attention_mask, **options)

    return mask


plain_mask = _unasked(sdpa_mask)
AttentionMaskInterface.register("sdpa", plain_mask)
AttentionMaskInterface.register("eager", _unasked(eager_mask))
