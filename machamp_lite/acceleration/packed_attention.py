"""Attention within pieces that lie end to end in one row, so that the encoder computes no padding.

A transformer of transformers whose ``attn_implementation`` is ``PACKED`` calls ``packed_attention`` in every layer.
Outside of ``segment_mask_context`` it is the usual attention over padded rows.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from machamp_lite.acceleration.attention_masks import plain_mask
from machamp_lite.acceleration.cpu_dropout import dropout as drop
from machamp_lite.nn.ragged import starts_of, to_device

PACKED = "machamp_packed"
# A piece of the length that tells of attention to near words alone, and how much of the largest state counts as equal.
LONG, EQUAL = 192, 1e-5
# The pieces of the row that is being encoded: so many of one length, one group after another.
_groups: ContextVar[Sequence[tuple[int, int]] | None] = ContextVar("groups", default=None)


class PackedRow:
    """Pieces of a flat batch in one row, those of one length side by side.

    ``places`` (S,) say where in the row the subwords of the batch stand; ``first_position`` is the number that the
    transformer gives to the first position of a text.
    """

    def __init__(self, lengths: Tensor, *, first_position: int = 0) -> None:
        order = lengths.argsort(stable=True)
        ordered = lengths[order]
        self.lengths: list[int] = ordered.tolist()
        total = sum(self.lengths)
        steps = torch.arange(total)
        offsets = steps - starts_of(ordered)[:-1].repeat_interleave(ordered, output_size=total)
        self._subwords = starts_of(lengths)[order].repeat_interleave(ordered, output_size=total) + offsets
        self._positions = offsets + first_position
        self.places = torch.empty_like(steps).index_put((self._subwords,), steps)

    def inputs(self, ids: Tensor, types: Tensor | None, device: torch.device) -> dict[str, Tensor]:
        """What the transformer is given of a flat batch, on its device."""
        inputs = {"input_ids": ids[self._subwords], "position_ids": self._positions}
        if types is not None:
            inputs["token_type_ids"] = types[self._subwords]
        return {name: to_device(values, device).unsqueeze(0) for name, values in inputs.items()}


@contextmanager
def segment_mask_context(lengths: Sequence[int]) -> Iterator[None]:
    """Says how long the pieces of a row are, one after another; those of one length are best side by side."""
    token = _groups.set([(length, len(list(same))) for length, same in groupby(lengths)])
    try:
        yield
    finally:
        _groups.reset(token)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention of each piece with itself alone, for all pieces of one length at once.

    *Shape:* query, key, value (1, H, S, E) -> (1, S, H, E); outside of ``segment_mask_context``,
    (P, H, L, E) -> (P, L, H, E).
    """
    groups = _groups.get()
    if groups is None:
        if _is_slow(query, dropout) and query.shape == key.shape and not _is_causal(module, options):
            attended = attend(query, key, value, attention_mask, dropout=dropout, scaling=scaling)
            return attended.transpose(1, 2), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    # Split all at once: the gradients of single slices would each be as long as the row.
    sizes = [length * count for length, count in groups]
    # Without gradients each group is written where it belongs, and with them put together at the end.
    row = None if torch.is_grad_enabled() else torch.empty_like(query[0].transpose(0, 1))
    parts, end = [], 0
    for (length, count), *states in zip(
        groups, *(states[0].split(sizes, dim=1) for states in (query, key, value)), strict=True
    ):
        # (H, count * length, E) -> (count, H, length, E)
        queries, keys, values = (rows.unflatten(1, (count, length)).transpose(0, 1) for rows in states)
        attended = attend(queries, keys, values, dropout=dropout, scaling=scaling).transpose(1, 2)
        if row is None:
            parts.append(attended.flatten(0, 1))
        else:
            start, end = end, end + count * length
            row[start:end].view_as(attended).copy_(attended)
    return (torch.cat(parts) if row is None else row).unsqueeze(0), None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    dropout: float,
    scaling: float | None,
) -> Tensor:
    """Scaled dot-product attention; the mask is true where a query sees a key. *Shape:* (..., L, E) -> (..., L, E).

    torch's own has no fast kernel for dropout on a CPU: there it is written out, with a faster dropout.
    """
    if not _is_slow(query, dropout):
        return scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scaling) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return drop(scores.softmax(-1), dropout) @ value


def _is_slow(query: Tensor, dropout: float) -> bool:
    return dropout > 0 and query.device.type == "cpu"


def _is_causal(module: nn.Module, options: dict[str, Any]) -> bool:
    is_causal = options.get("is_causal")
    return bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, plain_mask)


def find_first_position(
    transformer: Any,
    ids: Tensor,
    *,
    has_types: bool,
    longest: int,
    tried: Sequence[int],
    device: torch.device,
) -> int | None:
    """The first of these numbers of a first position with which packed pieces have the states that they have alone.

    Sets the transformer's attention to ``PACKED`` if there is one; None if it cannot be packed. ``longest`` is the most
    subwords that it takes. *Shape:* ids (S,), any subwords, on the host.
    """
    if not transformer._supports_attention_backend:
        return None
    if "position_ids" not in inspect.signature(transformer.forward).parameters:
        return None
    lengths = [3, min(longest, LONG), 3]
    ids = ids.repeat(LONG)[: sum(lengths)]
    types = torch.zeros_like(ids) if has_types else None
    usual = transformer.config._attn_implementation
    try:
        alone = [
            transformer(input_ids=to_device(part, device).unsqueeze(0)).last_hidden_state[0]
            for part in ids.split(lengths)
        ]
        expected = torch.cat(alone)
        transformer.set_attn_implementation(PACKED)
        for first_position in tried:
            row = PackedRow(torch.tensor(lengths), first_position=first_position)
            with segment_mask_context(row.lengths):
                packed = transformer(**row.inputs(ids, types, device)).last_hidden_state[0]
            states = packed[to_device(row.places, device)]
            if float((states - expected).abs().max()) <= EQUAL * float(expected.abs().max()):
                return first_position
    except (RuntimeError, ValueError, TypeError, IndexError):
        # What does not know such inputs is not packed.
        pass
    transformer.set_attn_implementation(usual)
    return None
