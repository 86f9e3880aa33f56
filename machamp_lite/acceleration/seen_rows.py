"""Subwords that the training data lacks: their vectors get no gradient, and a run need not pay for them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from machamp_lite.acceleration.reduced_vocabulary import ReducedVocabularyEmbedding
from machamp_lite.dataloading.example import Example
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.model.multitask_model import Model

logger = logging.getLogger(__name__)

# Where fewer are unseen there is little to gain.
LEAST_UNSEEN = 0.25
# Subwords that are looked at together.
CHUNK = 2**20


def reduce_vocabulary(model: Model, train: Mapping[str, Sequence[Example]]) -> None:
    """Lets training update only the vectors of subwords that it sees, if the model's outcome is the same.

    All others decay (see ``ReducedVocabularyEmbedding``). It is to be called before the optimizer is made.
    """
    name = _name_of_table(model)
    if name is None:
        return
    embedding = model.get_submodule(name)
    assert isinstance(embedding, nn.Embedding)
    is_seen = np.zeros(embedding.num_embeddings, dtype=bool)
    special = np.array([model.encoder.pad_id, *model.tokenizer.tokenizer.all_special_ids])
    for ids in (special, *(ids for examples in train.values() for ids in _subword_ids(examples))):
        # What has no vector fails where it is looked up, as without this.
        is_seen[ids[ids < len(is_seen)]] = True
    if embedding.padding_idx is not None:
        is_seen[embedding.padding_idx] = True
    if is_seen.mean() > 1 - LEAST_UNSEEN:
        return
    seen = torch.from_numpy(is_seen.nonzero()[0]).to(embedding.weight.device)
    _put(model, name, ReducedVocabularyEmbedding(embedding, seen))
    logger.info(
        "%d of %d subwords are in the training data: the others' vectors only decay", len(seen), len(is_seen)
    )


def restore_vocabulary(model: Model) -> None:
    """Undoes ``reduce_vocabulary``, with the vectors as they have become."""
    for name, module in list(model.named_modules()):
        if isinstance(module, ReducedVocabularyEmbedding):
            _put(model, name, module.plain())


def _name_of_table(model: Model) -> str | None:
    """The name of the encoder's table of subwords, if it learns, is a plain one, and nothing else reads it."""
    params = model.config.params.encoder
    # A language model reads the whole table, or has subwords at random for input.
    if not params.update_weights_encoder or params.lora is not None or model.pretrained.kind is not None:
        return None
    try:
        embedding: Any = model.pretrained.encoder.get_input_embeddings()
    except NotImplementedError:
        # Canine has no table of subwords.
        return None
    if (
        type(embedding) is not nn.Embedding
        or embedding.max_norm is not None
        or embedding.sparse
        or embedding.scale_grad_by_freq
        or not embedding.weight.requires_grad
    ):
        return None
    every = model.named_parameters(remove_duplicate=False)
    names = [name for name, parameter in every if parameter is embedding.weight]
    return names[0].removesuffix(".weight") if len(names) == 1 else None


def _put(model: Model, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)


def _subword_ids(examples: Sequence[Example]) -> Iterator[np.ndarray]:
    """The ids of all subwords, in several arrays; of columns, those of their whole table."""
    if not isinstance(examples, ExampleStore):
        yield from (example.segments.subword_ids for example in examples)
        return
    values = examples.table.rows["subwords"].values
    yield from (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
