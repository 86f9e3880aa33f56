"""The shared transformer, which turns a flat batch into hidden states of words and sentences."""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.config.schema import EncoderParams
from machamp_lite.dataloading.batch import Batch
from machamp_lite.errors import ConfigError, is_out_of_memory
from machamp_lite.model.attention_probe import AttentionBehaviour, probe_attention
from machamp_lite.model.segment_layout import EqualLengthLayout, PaddedLayout, SegmentLayout
from machamp_lite.nn.lora import add_adapters, merge_adapters, without_adapters
from machamp_lite.nn.ragged import pad, starts_of, to_device

logger = logging.getLogger(__name__)

NO_LIMIT = 2**31
# The inner layers of these encoders pool characters or subwords, so they have fewer states than subwords.
LAST_LAYER_ONLY = ("canine", "funnel")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Hidden states of the requested layers. *Shape:* words (K, W, D), sentences (K, B, D)."""

    words: Tensor
    sentences: Tensor


class EncoderError(RuntimeError):
    """The transformer raised an error, for example because the encoder's files do not fit each other."""


def call_transformer(transformer: nn.Module, **inputs: Any) -> Any:
    """The default of ``Encoder.call``."""
    return transformer(**inputs)


class Encoder(nn.Module):
    """A Hugging Face encoder that takes flat batches; the segments of a long sentence are encoded separately.

    ``acceleration`` may replace ``layout``, which arranges segments as rows, and ``call``, which calls the transformer.
    Raises ``ConfigError`` for a transformer that cannot read text without other inputs.
    """

    layout: SegmentLayout
    call: Callable[..., Any]

    def __init__(self, transformer: Any, *, params: EncoderParams) -> None:
        super().__init__()
        self.transformer = transformer
        self.params = params
        self.call = call_transformer
        config = self.config
        self.kind = str(config.model_type)
        self.width = int(config.hidden_size)
        self.layers = int(config.num_hidden_layers) + 1
        self.longest_input = longest_input(transformer)
        # Canine pools characters in groups of this size and requires at least one group.
        self.shortest_input = int(getattr(config, "downsampling_rate", 1))
        pad_token = getattr(config, "pad_token_id", None)
        self.pad_id = 0 if pad_token is None else max(0, int(pad_token))
        has_types = int(getattr(config, "type_vocab_size", 0) or 0) > 1
        self.has_types = has_types and "token_type_ids" in inspect.signature(transformer.forward).parameters
        # The adapters of an earlier run become part of the encoder.
        merge_adapters(transformer)
        # Without weights, as when a config is checked, there is nothing to probe.
        has_weights = "meta" not in (self.device.type, torch.get_default_device().type)
        behaviour = probe_attention(self) if has_weights else AttentionBehaviour()
        self.is_causal, self.padding_matters = behaviour.is_causal, behaviour.padding_matters
        self.layout = EqualLengthLayout() if self.padding_matters else PaddedLayout()
        if self.is_causal:
            # Keys and values are cached for generating text only.
            config.use_cache = False
        self._log_behaviour()
        if params.lora is not None:
            add_adapters(transformer, **params.lora.model_dump())
            trained = sum(value.numel() for value in transformer.parameters() if value.requires_grad)
            logger.info("lora: %d parameters of the encoder are trained", trained)

    def _log_behaviour(self) -> None:
        if self.is_causal:
            logger.info("the encoder reads from left to right: sentences are read at their last position")
        if self.padding_matters:
            logger.info("padding changes the encoder's output: only sentences of equal length are encoded together")
        if self.kind in LAST_LAYER_ONLY:
            logger.info("only the encoder's last layer has a state for each subword: all tasks read it")

    @property
    def config(self) -> Any:
        """The transformer's config; for models of text and images, the part for text."""
        return getattr(self.transformer.config, "text_config", self.transformer.config)

    @property
    def device(self) -> torch.device:
        """The device of the transformer's weights."""
        return next(self.transformer.parameters()).device

    def layer_numbers(self, layers: Sequence[int] | str) -> tuple[int, ...]:
        """The layers of ``layers_to_use``, counted from 0 (embeddings); raises ``ConfigError`` for unknown layers."""
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
                    f"layers_to_use: found {layer}, but only the last layer of '{self.kind}' models has a state for "
                    "each subword, expected [-1] or 'all'"
                )
        return tuple(layer % self.layers for layer in layers)

    def frozen_parameters(self) -> list[nn.Parameter]:
        """Parameters that are never trained: with adapters, all parameters of the transformer."""
        return [] if self.params.lora is None else without_adapters(self.transformer)

    def forward(self, batch: Batch, layers: Sequence[int]) -> Encoded:
        """Hidden states of the given layers at the last subword of each word, and of sentences.

        The state of a sentence is that of its first position, or of its last if the encoder is causal. With several
        segments, it is the state of the first one, or with ``long_input`` "stride" the mean of their states.
        """
        states, rows = self.layout(self, batch, layers)
        segments = batch.segments_per_sentence
        starts = starts_of(batch.segment_lengths)
        reads = starts[1:] - 1 if self.is_causal else starts[:-1]
        has_long = len(reads) > len(segments)
        if has_long and self.params.long_input == "truncate":
            reads = reads[starts_of(segments)[:-1]]
        words, sentences = (
            _gather(states, to_device(rows[read], self.device)) for read in (batch.word_ends, reads)
        )
        if has_long and self.params.long_input == "stride":
            sums = pad(sentences.transpose(0, 1), segments).sum(1)
            sentences = (sums / to_device(segments, self.device)[:, None, None]).transpose(0, 1)
        return Encoded(words, sentences)

    def run(self, inputs: Mapping[str, Tensor], layers: Sequence[int]) -> list[Tensor]:
        """The states of some layers for inputs on the CPU. *Shape:* (P, L) each -> K times (P, L, D)."""
        given = {name: to_device(values, self.device) for name, values in inputs.items()}
        if not self.has_types:
            given.pop("token_type_ids", None)
        every_layer = tuple(layers) != (self.layers - 1,)
        try:
            output = self.call(self.transformer, **given, output_hidden_states=every_layer)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise EncoderError(str(error)) from error
        if not every_layer:
            return [output.last_hidden_state]
        return [output.hidden_states[layer] for layer in layers]


def _gather(states: Sequence[Tensor], rows: Tensor) -> Tensor:
    """The same rows of all layers. *Shape:* K times (N, D), (M,) -> (K, M, D)."""
    return torch.stack([state.index_select(0, rows) for state in states])


def longest_input(transformer: Any) -> int:
    """The most subwords that a transformer can read: its number of positions, unless these are relative."""
    config = getattr(transformer.config, "text_config", transformer.config)
    positions = int(getattr(config, "max_position_embeddings", None) or 0)
    only_relative = getattr(config, "relative_attention", False) and not getattr(
        config, "position_biased_input", True
    )
    if positions <= 0 or only_relative:
        return NO_LIMIT
    for name, module in transformer.named_modules():
        # RoBERTa and related models count positions from the index of padding, plus 1.
        if isinstance(module, nn.Embedding) and "position" in name and module.padding_idx is not None:
            return positions - module.padding_idx - 1
    return positions
