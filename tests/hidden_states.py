"""The hidden states of words and sentences from an encoder."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from machamp_lite.config.task_types import Pooling
from machamp_lite.dataloading.batch import Batch
from machamp_lite.model.encoder import Encoder, Source


class HiddenStates(NamedTuple):
    """*Shape:* words (K, W, D), sentences (K, B, D)."""

    words: Tensor
    sentences: Tensor


def encode(
    encoder: Encoder, batch: Batch, layers: Sequence[int], *, words: Pooling = "last", sentences: Pooling = "first"
) -> HiddenStates:
    """Encodes a batch with one pooling of words and one of sentences."""
    sources = [Source("word", words, tuple(layers)), Source("sentence", sentences, tuple(layers))]
    encoded = encoder(batch, layers, sources)
    return HiddenStates(*(encoded.states[source] for source in sources))
