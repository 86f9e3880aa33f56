"""The shared transformer: a flat batch in, hidden states of words and sentences out."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.acceleration.attention_masks import skip_mask_sync
from machamp_lite.acceleration.bf16_weights import RoundedWeights
from machamp_lite.acceleration.cpu_dropout import replace_dropout
from machamp_lite.acceleration.packed_attention import PackedRow, find_first_position, segment_mask_context
from machamp_lite.config.schema import EncoderParams
from machamp_lite.dataloading.batch import Batch
from machamp_lite.errors import ConfigError
from machamp_lite.nn.lora import add_adapters, merge_adapters, without_adapters
from machamp_lite.nn.ragged import is_item, longest_of, pad, padded_places, starts_of, to_device

logger = logging.getLogger(__name__)

NO_LIMIT = 2**31
# Their inner layers have fewer states than subwords: they pool characters, or subwords, on the way.
LAST_LAYER_ONLY = ("canine", "funnel")
# Subwords of the texts that tell how a transformer behaves, and how much of its largest state counts as equal: rounding
# makes 1e-7, what another subword does to random weights is 1e-3.
SHORT, LONG, EQUAL = 8, 13, 1e-5
# Training in bf16 is faster packed than padded where less of a batch is subwords, and about as fast where more is.
LEAST_FILL = 0.92


@dataclass(frozen=True, slots=True)
class Encoded:
    """Hidden states of the asked layers. *Shape:* words (K, W, D), sentences (K, B, D)."""

    words: Tensor
    sentences: Tensor


class Encoder(nn.Module):
    """A Hugging Face encoder that takes flat batches; pieces of a sentence are encoded apart.

    Raises ``ConfigError`` for a transformer that cannot read texts alone.
    """

    def __init__(self, transformer: Any, *, params: EncoderParams) -> None:
        super().__init__()
        self.transformer = transformer
        self._rounded = RoundedWeights()
        self.params = params
        config = getattr(transformer.config, "text_config", transformer.config)
        self.kind = str(config.model_type)
        self.width = int(config.hidden_size)
        self.layers = int(config.num_hidden_layers) + 1
        self.longest_input = longest_input(transformer)
        # Characters are pooled in groups of so many; a text needs one group at least.
        self.shortest_input = int(getattr(config, "downsampling_rate", 1))
        pad_token = getattr(config, "pad_token_id", None)
        self.pad_id = 0 if pad_token is None else max(0, int(pad_token))
        has_types = int(getattr(config, "type_vocab_size", 0) or 0) > 1
        self.has_types = has_types and "token_type_ids" in inspect.signature(transformer.forward).parameters
        self.is_causal = self.padding_matters = False
        # The number of the first position, if pieces can lie end to end in one row.
        self.first_position: int | None = None
        # Those of a former run, whose encoder is the whole of both.
        merge_adapters(transformer)
        replace_dropout(transformer)
        # Without weights, as in a check of a config, there is nothing to try.
        if "meta" not in (self.device.type, torch.get_default_device().type):
            self._probe_attention(config)
        if params.lora is not None:
            add_adapters(transformer, **params.lora.model_dump())
            learning = sum(value.numel() for value in transformer.parameters() if value.requires_grad)
            logger.info("lora: %d parameters of the encoder are trained", learning)

    @property
    def device(self) -> torch.device:
        """Where the transformer computes."""
        return next(self.transformer.parameters()).device

    def _probe_attention(self, config: Any) -> None:
        """Finds out whether it reads from left to right, and whether padding changes what it says."""
        size = int(getattr(config, "vocab_size", None) or 256)
        known = [number for number in range(min(size, 64)) if number != self.pad_id]
        ids = torch.tensor((known * LONG)[: LONG + SHORT])
        one, longer, other = ids[:SHORT], ids[:LONG], ids[LONG:].clone()
        other[: SHORT // 2] = one[: SHORT // 2]
        padded = torch.stack([functional.pad(one, (0, LONG - SHORT), value=self.pad_id), longer])
        lengths = torch.tensor([SHORT, LONG])
        was_training = self.transformer.training
        self.transformer.eval()
        try:
            # Some draw random numbers even here, and what follows must not depend on it.
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                alone, changed, beside = (
                    self._transform(rows, torch.zeros_like(rows), row_lengths, [self.layers - 1])[0][0]
                    for rows, row_lengths in (
                        (one.unsqueeze(0), lengths[:1]),
                        (other.unsqueeze(0), lengths[:1]),
                        (padded, lengths),
                    )
                )
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"transformer_model: '{self.kind}' models cannot be used, expected one that reads text alone ({reason})"
            ) from None
        finally:
            self.transformer.train(was_training)
        if alone.shape != (SHORT, self.width):
            raise ConfigError(
                f"transformer_model: '{self.kind}' models cannot be used, expected states of {self.width} numbers for "
                f"each of {SHORT} subwords, found {tuple(alone.shape)}"
            )
        equal = EQUAL * float(alone.abs().max())
        half = SHORT // 2
        self.is_causal = float((alone - changed)[:half].abs().max()) < equal
        self.padding_matters = float((alone - beside[:SHORT]).abs().max()) > equal
        if self.params.packing is not False and not self.is_causal and not self.padding_matters:
            self._probe_packing(ids)
        if self.params.packing is True and self.first_position is None:
            raise ConfigError(
                f"encoder -> packing: '{self.kind}' models cannot be packed, expected 'auto' or false"
            )
        if self.is_causal:
            # Keys and values would be kept for a next word that never comes.
            config.use_cache = False
            logger.info("the encoder reads from left to right: sentences are read at their last position")
        if self.padding_matters:
            logger.info(
                "the encoder heeds padding: sentences are encoded together with those of their length"
            )
        if self.kind in LAST_LAYER_ONLY:
            logger.info("the encoder's last layer alone has a state for each subword: all tasks read it")

    def _probe_packing(self, ids: Tensor) -> None:
        """Finds out whether pieces can lie end to end in one row and have the states that they have alone."""
        was_training = self.transformer.training
        self.transformer.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self.first_position = find_first_position(
                    self.transformer,
                    ids,
                    has_types=self.has_types,
                    longest=self.longest_input,
                    tried=(0, self.pad_id + 1),
                    device=self.device,
                )
        finally:
            self.transformer.train(was_training)

    def layer_numbers(self, layers: Sequence[int] | str) -> tuple[int, ...]:
        """Layers counted from 0, the embeddings, for ``layers_to_use``; raises ``ConfigError`` for others."""
        last_only = self.kind in LAST_LAYER_ONLY
        if isinstance(layers, str):
            return (self.layers - 1,) if last_only else tuple(range(self.layers))
        for layer in layers:
            if not -self.layers <= layer < self.layers:
                raise ConfigError(
                    f"layers_to_use: found {layer}, but the encoder has the layers 0 (embeddings) "
                    f"to {self.layers - 1}, or {-self.layers} to -1 from the top"
                )
            if last_only and layer % self.layers != self.layers - 1:
                raise ConfigError(
                    f"layers_to_use: found {layer}, but of '{self.kind}' models the last layer alone has a state for "
                    "each subword, expected [-1] or 'all'"
                )
        return tuple(layer % self.layers for layer in layers)

    def packs(self, lengths: Tensor) -> bool:
        """Whether pieces of these lengths lie end to end in one row, and not side by side and padded.

        With "auto" they do on a CPU, but for those batches of training in bf16 of which little would be padding.
        """
        if self.first_position is None:
            return False
        if self.params.packing == "auto":
            fill = int(lengths.sum()) / (len(lengths) * longest_of(lengths))
            pays = fill < LEAST_FILL or not (self.training and torch.is_autocast_enabled("cpu"))
            return self.device.type == "cpu" and pays
        return self.params.packing is True

    def layout(self) -> str:
        """How the pieces of batches lie, and why, for a person."""
        if self.params.packing is True:
            return "packed end to end"
        if self.params.packing is False:
            return "padded"
        if self.first_position is None:
            return f"padded: '{self.kind}' models cannot be packed"
        if self.device.type != "cpu":
            return "padded"
        return f"packed end to end, but for those batches of training in bf16 that are filled to {LEAST_FILL:.0%}"

    def frozen_parameters(self) -> list[nn.Parameter]:
        """Those that never learn: with adapters, all others."""
        return [] if self.params.lora is None else without_adapters(self.transformer)

    def forward(self, batch: Batch, layers: Sequence[int]) -> Encoded:
        """Hidden states of the given layers at the last subword of each word, and of sentences.

        A sentence is read at its first position, or at its last one if the encoder reads from left to right: of its
        first piece, or with ``long_input`` of "stride" as the mean over its pieces.
        """
        states, places = self._states(batch, layers)
        segments = batch.segments_per_sentence
        starts = starts_of(batch.segment_lengths)
        reads = starts[1:] - 1 if self.is_causal else starts[:-1]
        are_cut = len(reads) > len(segments)
        if are_cut and self.params.long_input == "truncate":
            reads = reads[starts_of(segments)[:-1]]
        words, sentences = (
            _gather(states, to_device(places[read], self.device)) for read in (batch.word_ends, reads)
        )
        if are_cut and self.params.long_input == "stride":
            sums = pad(sentences.transpose(0, 1), segments).sum(1)
            sentences = (sums / to_device(segments, self.device)[:, None, None]).transpose(0, 1)
        return Encoded(words, sentences)

    def _states(self, batch: Batch, layers: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """States of each layer, and where those of each subword stand in them. *Shape:* K times (N, D), (S,).

        The places, as all of a batch, are on the host.
        """
        ids, types, lengths = batch.subword_ids, batch.type_ids, batch.segment_lengths
        if self.packs(lengths):
            row = PackedRow(lengths, first_position=self.first_position or 0)
            inputs = row.inputs(ids, types if self.has_types else None, self.device)
            with segment_mask_context(row.lengths):
                return [state[0] for state in self._layers(inputs, layers)], row.places
        if not self.padding_matters:
            rows = self._transform(pad(ids, lengths, value=self.pad_id), pad(types, lengths), lengths, layers)
            return [state.flatten(0, 1) for state in rows], padded_places(lengths)
        starts = starts_of(lengths)[:-1]
        parts, positions = [], []
        for length in lengths.unique().tolist():
            alike = starts[lengths == length]
            chosen = alike.unsqueeze(1) + torch.arange(length)
            room = (0, max(0, self.shortest_input - length))
            part = self._transform(
                functional.pad(ids[chosen], room, value=self.pad_id),
                functional.pad(types[chosen], room),
                alike.new_full((len(alike),), length),
                layers,
            )
            parts.append([state[:, :length].flatten(0, 1) for state in part])
            positions.append(chosen.flatten())
        return [torch.cat(layer) for layer in zip(*parts, strict=True)], torch.cat(positions).argsort()

    def _transform(self, ids: Tensor, types: Tensor, lengths: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """The transformer's own states of padded rows. *Shape:* (P, L), (P, L), (P,) -> K times (P, L, D)."""
        inputs = {"input_ids": ids}
        # Of inputs without a mask transformers asks what they hold, and on a CPU the answer costs less than a mask.
        if self.device.type != "cpu" or bool((lengths != ids.shape[1]).any()):
            inputs["attention_mask"] = is_item(lengths, ids.shape[1]).long()
        if self.has_types:
            inputs["token_type_ids"] = types
        return self._layers({name: to_device(values, self.device) for name, values in inputs.items()}, layers)

    def _layers(self, inputs: dict[str, Tensor], layers: Sequence[int]) -> list[Tensor]:
        every_layer = tuple(layers) != (self.layers - 1,)
        with skip_mask_sync():
            output = self._rounded.call(self.transformer, **inputs, output_hidden_states=every_layer)
        if not every_layer:
            return [output.last_hidden_state]
        return [output.hidden_states[layer] for layer in layers]


def _gather(states: Sequence[Tensor], places: Tensor) -> Tensor:
    """The same rows of all layers. *Shape:* K times (N, D), (M,) -> (K, M, D)."""
    kinds = {state.dtype for state in states}
    if torch.is_grad_enabled() or len(kinds) > 1:
        # Some encoders' embeddings are in another precision than what their layer norms give.
        return torch.stack([state.index_select(0, places) for state in states])
    # Without gradients in one pass over them.
    rows = states[0].new_empty(len(states), len(places), states[0].shape[-1])
    for state, target in zip(states, rows, strict=True):
        torch.index_select(state, 0, places, out=target)
    return rows


def longest_input(transformer: Any) -> int:
    """The most subwords that a transformer takes: as many as it has positions, if they are not relative."""
    config = getattr(transformer.config, "text_config", transformer.config)
    positions = int(getattr(config, "max_position_embeddings", None) or 0)
    only_relative = getattr(config, "relative_attention", False) and not getattr(
        config, "position_biased_input", True
    )
    if positions <= 0 or only_relative:
        return NO_LIMIT
    for name, module in transformer.named_modules():
        # RoBERTa and its kin count positions from that of padding, plus 1.
        if isinstance(module, nn.Embedding) and "position" in name and module.padding_idx is not None:
            return positions - module.padding_idx - 1
    return positions
