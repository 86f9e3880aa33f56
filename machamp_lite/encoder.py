"""The shared transformer: a flat batch in, hidden states of words and sentences out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.batching.batch import Batch
from machamp_lite.errors import ConfigError
from machamp_lite.modules.ragged import pad, padded_places


@dataclass(frozen=True, slots=True)
class Encoded:
    """Hidden states of the asked layers. *Shape:* words (K, W, D), sentences (K, B, D)."""

    words: Tensor
    sentences: Tensor


class Encoder(nn.Module):
    """A Hugging Face encoder that takes flat batches; pieces of a sentence are encoded apart."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer
        config = getattr(transformer.config, "text_config", transformer.config)
        self.width = int(config.hidden_size)
        self.layers = int(config.num_hidden_layers) + 1
        self.longest_input = int(getattr(config, "max_position_embeddings", None) or 2**31)
        pad_token = getattr(config, "pad_token_id", None)
        self.pad_id = 0 if pad_token is None else int(pad_token)
        if config.model_type in (
            "roberta",
            "xlm-roberta",
            "camembert",
            "xmod",
            "data2vec-text",
            "longformer",
        ):
            # These count positions from pad + 1.
            self.longest_input -= self.pad_id + 1
        self.has_types = int(getattr(config, "type_vocab_size", 0) or 0) > 1

    def layer_numbers(self, layers: Sequence[int] | str) -> tuple[int, ...]:
        """Layers counted from 0, the embeddings, for ``layers_to_use``; raises ``ConfigError`` for others."""
        if isinstance(layers, str):
            return tuple(range(self.layers))
        for layer in layers:
            if not -self.layers <= layer < self.layers:
                raise ConfigError(
                    f"layers_to_use: found {layer}, but the encoder has the layers 0 (embeddings) "
                    f"to {self.layers - 1}, or {-self.layers} to -1 from the top"
                )
        return tuple(layer % self.layers for layer in layers)

    def forward(self, batch: Batch, layers: Sequence[int]) -> Encoded:
        """Hidden states of the given layers at the last subword of each word and at each sentence's start."""
        lengths = batch.piece_lengths
        inputs = {"input_ids": pad(batch.subword_ids, lengths, value=self.pad_id)}
        width = inputs["input_ids"].shape[1]
        if bool((lengths != width).any()):
            positions = torch.arange(width, device=lengths.device)
            inputs["attention_mask"] = (positions.unsqueeze(0) < lengths.unsqueeze(1)).long()
        if self.has_types:
            inputs["token_type_ids"] = pad(batch.type_ids, lengths)
        every_layer = tuple(layers) != (self.layers - 1,)
        output = self.transformer(**inputs, output_hidden_states=every_layer)
        states = (
            [output.hidden_states[layer] for layer in layers] if every_layer else [output.last_hidden_state]
        )
        places = padded_places(lengths)
        words, sentences = places[batch.word_ends], places[batch.sentence_firsts]
        flat = [state.flatten(0, 1) for state in states]
        return Encoded(
            torch.stack([state.index_select(0, words) for state in flat]),
            torch.stack([state.index_select(0, sentences) for state in flat]),
        )
