"""The shared transformer, which turns a flat batch into hidden states of words and sentences."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.config.schema import EncoderParams
from machamp_lite.config.task_types import Level
from machamp_lite.dataloading.batch import Batch
from machamp_lite.errors import ConfigError, is_out_of_memory
from machamp_lite.model.attention_probe import AttentionBehaviour, probe_attention
from machamp_lite.model.segment_layout import EqualLengthLayout, PaddedLayout, SegmentLayout
from machamp_lite.nn.lora import add_adapters, merge_adapters, without_adapters
from machamp_lite.nn.pooling import Pooling, mean_of_segments, pool
from machamp_lite.nn.ragged import starts_of, to_device

logger = logging.getLogger(__name__)

NO_LIMIT = 2**31
# The inner layers of these encoders pool characters or subwords, so they have fewer states than subwords.
LAST_LAYER_ONLY = ("canine", "funnel")


@dataclass(frozen=True, slots=True)
class Source:
    """What a task reads: the words or sentences of a batch, their pooling, and layers."""

    level: Level
    pooling: Pooling
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Hidden states. *Shape:* (K, N, D) per source, N words or sentences; with "attention", N subwords of sentences.

    ``segment_lengths`` (P,) are the numbers of these subwords, ``segments_per_sentence`` (B,) divide the segments.
    """

    states: Mapping[Source, Tensor]
    segment_lengths: Tensor
    segments_per_sentence: Tensor


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
        has_weights = self.has_weights()
        behaviour = probe_attention(self) if has_weights else AttentionBehaviour()
        self.is_causal, self.padding_matters = behaviour.is_causal, behaviour.padding_matters
        self.layout = EqualLengthLayout() if self.padding_matters else PaddedLayout()
        if self.is_causal:
            # Keys and values are cached for generating text only.
            config.use_cache = False
        if has_weights:
            self._log_behaviour()
        if params.lora is not None:
            add_adapters(transformer, **params.lora.model_dump())
            trained = sum(value.numel() for value in transformer.parameters() if value.requires_grad)
            if has_weights:
                logger.info("lora: %d parameters of the encoder are trained", trained)

    def _log_behaviour(self) -> None:
        if self.is_causal:
            logger.info(
                "the encoder reads from left to right: words and sentences are read at their last subword, whatever "
                "their pooling, except 'attention'"
            )
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

    def has_weights(self) -> bool:
        """Whether it can be run; without weights, as when a config is checked, there is nothing to probe."""
        # ``torch.get_default_device`` of torch 2.6 does not know the device of a context.
        return "meta" not in (self.device.type, torch.empty(0).device.type)

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

    def forward(self, batch: Batch, layers: Sequence[int], sources: Iterable[Source]) -> Encoded:
        """Hidden states of words and sentences for some sources; ``layers`` are all layers that they read.

        A sentence of several segments has the state of the first one, or with ``long_input`` "stride" the mean of
        their states. A causal encoder has read all subwords at the last one only, so that one is read, except with
        "attention".
        """
        states, rows = self.layout(self, batch, layers)
        segments, lengths = batch.segments_per_sentence, batch.segment_lengths
        starts = starts_of(lengths)[:-1]
        if len(starts) > len(segments) and self.params.long_input == "truncate":
            firsts = starts_of(segments)[:-1]
            starts, lengths, segments = starts[firsts], lengths[firsts], torch.ones_like(segments)
        spans = {"word": (batch.word_starts, batch.word_ends), "sentence": (starts, starts + lengths - 1)}
        of_sources = {}
        for source in sources:
            pooling = "last" if self.is_causal and source.pooling != "attention" else source.pooling
            chosen = [states[layers.index(layer)] for layer in source.layers]
            span_starts, span_ends = spans[source.level]
            pooled = pool(chosen, rows, starts=span_starts, ends=span_ends, pooling=pooling)
            if source.level == "sentence" and pooling != "attention":
                pooled = mean_of_segments(pooled, segments)
            of_sources[source] = pooled
        return Encoded(of_sources, lengths, segments)

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
