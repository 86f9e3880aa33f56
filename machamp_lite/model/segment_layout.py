"""Arranges the segments of a batch as rows for the transformer.

``acceleration`` adds a layout without padding.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from machamp_lite.dataloading.batch import Batch
from machamp_lite.nn.ragged import is_item, pad, padded_positions, starts_of

if TYPE_CHECKING:
    from machamp_lite.model.encoder import Encoder


class SegmentLayout(Protocol):
    """Encodes a batch; ``description`` completes the log line "sentences are ..."."""

    description: str

    def __call__(self, encoder: "Encoder", batch: Batch, layers: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """The states of each layer, and the row of each subword in them (CPU). *Shape:* K times (N, D), (S,)."""
        ...


class PaddedLayout:
    """One row per segment, all padded to the longest."""

    description = "padded"

    def __call__(self, encoder: "Encoder", batch: Batch, layers: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """Encodes all segments at once."""
        lengths = batch.segment_lengths
        inputs = {
            "input_ids": pad(batch.subword_ids, lengths, value=encoder.pad_id),
            "attention_mask": is_item(lengths, int(lengths.max())).long(),
            "token_type_ids": pad(batch.type_ids, lengths),
        }
        return [state.flatten(0, 1) for state in encoder.run(inputs, layers)], padded_positions(lengths)


class EqualLengthLayout:
    """One row per segment, for encoders whose output padding changes: each call has segments of one length."""

    description = "grouped by length"

    def __call__(self, encoder: "Encoder", batch: Batch, layers: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """Encodes the segments of one length at a time."""
        lengths = batch.segment_lengths
        starts = starts_of(lengths)[:-1]
        parts, positions = [], []
        for length in lengths.unique().tolist():
            chosen = starts[lengths == length].unsqueeze(1) + torch.arange(length)
            extra = max(0, encoder.shortest_input - length)
            inputs = {
                "input_ids": functional.pad(batch.subword_ids[chosen], (0, extra), value=encoder.pad_id),
                "attention_mask": functional.pad(torch.ones_like(chosen), (0, extra)),
                "token_type_ids": functional.pad(batch.type_ids[chosen], (0, extra)),
            }
            parts.append([state[:, :length].flatten(0, 1) for state in encoder.run(inputs, layers)])
            positions.append(chosen.flatten())
        return [torch.cat(layer) for layer in zip(*parts, strict=True)], torch.cat(positions).argsort()
