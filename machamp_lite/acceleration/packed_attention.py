"""Attention within the segments of one packed row.

A transformer whose ``attn_implementation`` is ``PACKED`` or ``PACKED_FAST_DROPOUT`` calls ``packed_attention`` in every
layer. Outside of ``segment_mask_context`` it is the usual attention over padded rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from machamp_lite.acceleration.cpu_dropout import dropout as cpu_dropout

PACKED, PACKED_FAST_DROPOUT = "machamp_packed", "machamp_packed_fast_dropout"
# (length, number of segments) of each group of adjacent segments with the same length in the current row.
_groups: ContextVar[Sequence[tuple[int, int]] | None] = ContextVar("groups", default=None)


@contextmanager
def segment_mask_context(lengths: Sequence[int]) -> Iterator[None]:
    """Sets the lengths of the segments of a row; this is fastest if segments of the same length are adjacent."""
    token = _groups.set([(length, len(list(same))) for length, same in groupby(lengths)])
    try:
        yield
    finally:
        _groups.reset(token)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    dropout: float,
    scaling: float | None,
    fast_dropout: bool = True,
) -> Tensor:
    """Scaled dot-product attention; the mask is true where a query sees a key. *Shape:* (..., L, E) -> (..., L, E).

    torch has no fast kernel with dropout for CPUs. There, ``fast_dropout`` composes attention with a faster dropout.
    """
    if not (fast_dropout and _is_slow(query, dropout)):
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scaling) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return cpu_dropout(scores.softmax(-1), dropout) @ value


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    fast_dropout: bool = True,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention of each segment with itself, for all segments of one length at once.

    *Shape:* query, key, value (1, H, S, E) -> (1, S, H, E); outside of ``segment_mask_context``,
    (P, H, L, E) -> (P, L, H, E).
    """
    groups = _groups.get()
    if groups is None:
        if _is_slow(query, dropout) and query.shape == key.shape and not _is_causal(module, options):
            attended = attend(
                query, key, value, attention_mask, dropout=dropout, scaling=scaling, fast_dropout=fast_dropout
            )
            return attended.transpose(1, 2), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    # Split in one call: the gradient of a slice would be as long as the row.
    sizes = [length * count for length, count in groups]
    states = (states[0].split(sizes, dim=1) for states in (query, key, value))
    parts = []
    for (length, count), *group in zip(groups, *states, strict=True):
        # (H, count * length, E) -> (count, H, length, E)
        queries, keys, values = (rows.unflatten(1, (count, length)).transpose(0, 1) for rows in group)
        attended = attend(
            queries, keys, values, dropout=dropout, scaling=scaling, fast_dropout=fast_dropout
        )
        parts.append(attended.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts).unsqueeze(0), None


def _is_slow(query: Tensor, dropout: float) -> bool:
    return dropout > 0 and query.device.type == "cpu"


def _is_causal(module: nn.Module, options: dict[str, Any]) -> bool:
    is_causal = options.get("is_causal")
    return bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)


for _name in (PACKED, PACKED_FAST_DROPOUT):
    AttentionInterface.register(_name, partial(packed_attention, fast_dropout=_name == PACKED_FAST_DROPOUT))
    AttentionMaskInterface.register(_name, sdpa_mask)
