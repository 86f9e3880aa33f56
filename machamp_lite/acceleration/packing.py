"""Sequence packing: the segments of a batch in one row, so that the encoder computes no padding."""

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from machamp_lite.acceleration.packed_attention import PACKED, PACKED_FAST_DROPOUT, segment_mask_context
from machamp_lite.dataloading.batch import Batch
from machamp_lite.errors import ConfigError
from machamp_lite.model.attention_probe import TOLERANCE, probe_ids
from machamp_lite.model.encoder import Encoder
from machamp_lite.model.segment_layout import SegmentLayout
from machamp_lite.nn.ragged import longest_of, starts_of, to_device

logger = logging.getLogger(__name__)

# Training in bf16 is faster packed than padded if less than this share of a padded batch is subwords.
MINIMUM_FILL = 0.92
# The length of a test segment, long enough to detect attention that is restricted to nearby words.
PROBE_LENGTH = 192


class PackedRow:
    """The segments of a flat batch in one row, sorted by length.

    ``rows`` (S,) are the positions of the batch's subwords in the row; ``first_position`` is the number that the
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
        self.rows = torch.empty_like(steps).index_put((self._subwords,), steps)

    def inputs(self, ids: Tensor, types: Tensor) -> dict[str, Tensor]:
        """The transformer's inputs for the subwords of a flat batch, on the host. *Shape:* (S,) -> (1, S) each."""
        inputs = {
            "input_ids": ids[self._subwords],
            "position_ids": self._positions,
            "token_type_ids": types[self._subwords],
        }
        return {name: values.unsqueeze(0) for name, values in inputs.items()}


class PackedLayout:
    """Packs batches: all of them if ``always``, otherwise those that are faster; others use ``fallback``."""

    def __init__(self, first_position: int, fallback: SegmentLayout, *, always: bool) -> None:
        self.first_position = first_position
        self.fallback = fallback
        self.always = always
        exception = "" if always else f" (except bf16 training batches that are at least {MINIMUM_FILL:.0%} full)"
        self.description = f"packed{exception}"

    def __call__(self, encoder: Encoder, batch: Batch, layers: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """See ``SegmentLayout``."""
        lengths = batch.segment_lengths
        if not self.packs(encoder, lengths):
            return self.fallback(encoder, batch, layers)
        row = PackedRow(lengths, first_position=self.first_position)
        with segment_mask_context(row.lengths):
            states = encoder.run(row.inputs(batch.subword_ids, batch.type_ids), layers)
        return [state[0] for state in states], row.rows

    def packs(self, encoder: Encoder, lengths: Tensor) -> bool:
        """Whether segments of these lengths are packed."""
        if self.always:
            return True
        fill = int(lengths.sum()) / (len(lengths) * longest_of(lengths))
        is_faster = fill < MINIMUM_FILL or not (encoder.training and torch.is_autocast_enabled("cpu"))
        return encoder.device.type == "cpu" and is_faster


def pack_segments(encoder: Encoder, *, fast_dropout: bool) -> None:
    """Gives an encoder the packed layout, unless ``encoder.packing`` is false or packed states would be different.

    Raises ``ConfigError`` for an encoder that cannot be packed if ``encoder.packing`` is true.
    """
    packing = encoder.params.packing
    is_useful = packing is True or encoder.device.type == "cpu"
    if isinstance(encoder.layout, PackedLayout) or packing is False or not is_useful:
        return
    if not encoder.has_weights():
        return
    first_position = None
    if not encoder.is_causal and not encoder.padding_matters:
        first_position = find_first_position(encoder, PACKED_FAST_DROPOUT if fast_dropout else PACKED)
    if first_position is not None:
        encoder.layout = PackedLayout(first_position, encoder.layout, always=packing is True)
    elif packing is True:
        raise ConfigError(
            f"encoder -> packing: '{encoder.kind}' models cannot be packed, expected 'auto' or false"
        )
    else:
        logger.info("'%s' models cannot be packed", encoder.kind)


def find_first_position(encoder: Encoder, implementation: str) -> int | None:
    """The number of the first position with which packed segments have the same states as single ones.

    Sets the transformer's attention to ``implementation``; None if the transformer cannot be packed.
    """
    transformer: Any = encoder.transformer
    if not transformer._supports_attention_backend:
        return None
    if "position_ids" not in inspect.signature(transformer.forward).parameters:
        return None
    previous, was_training = transformer.config._attn_implementation, transformer.training
    transformer.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            found = _try_positions(encoder, implementation)
    except Exception:
        # A transformer that raises any error for such inputs cannot be packed.
        found = None
    finally:
        transformer.train(was_training)
    if found is None:
        transformer.set_attn_implementation(previous)
    return found


def _try_positions(encoder: Encoder, implementation: str) -> int | None:
    lengths = [3, min(encoder.longest_input, PROBE_LENGTH), 3]
    ids = probe_ids(encoder, sum(lengths))
    types = torch.zeros_like(ids)

    def last_states(inputs: dict[str, Tensor]) -> Tensor:
        return encoder.run(inputs, [encoder.layers - 1])[0][0]

    expected = torch.cat([last_states({"input_ids": part.unsqueeze(0)}) for part in ids.split(lengths)])
    encoder.transformer.set_attn_implementation(implementation)
    # Most transformers count positions from 0; RoBERTa and related models from the padding id plus 1.
    for first_position in (0, encoder.pad_id + 1):
        row = PackedRow(torch.tensor(lengths), first_position=first_position)
        with segment_mask_context(row.lengths):
            states = last_states(row.inputs(ids, types))[to_device(row.rows, encoder.device)]
        if float((states - expected).abs().max()) <= TOLERANCE * float(expected.abs().max()):
            return first_position
    return None
