"""Trains only the embeddings of subwords in the training data: the others have no gradient and get weight decay only.

In ``state_dict`` a ``ReducedVocabularyEmbedding`` looks like the embedding that it replaces, with all vectors as its
``weight``; the decay factor of the unseen vectors is its extra state, which only checkpoints of a run save.
"""

import logging
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_post_hook

from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import EXTRA_STATE

logger = logging.getLogger(__name__)

# With a smaller share of unseen subwords, little time is saved.
MINIMUM_UNSEEN = 0.25


class ReducedVocabularyEmbedding(nn.Module):
    """Replaces an embedding of which training uses only some vectors.

    The vectors of the ``seen`` ids are the parameter ``rows``. The others have no gradient, so AdamW would only apply
    weight decay: they are the vectors of ``table`` times ``decay``, which is updated after each step of the optimizer.
    *Shape:* seen (N,), including the padding id, table (V, D), rows (N, D).
    """

    table: Tensor
    seen: Tensor
    positions: Tensor

    def __init__(self, embedding: nn.Embedding, seen: Tensor) -> None:
        super().__init__()
        weight = embedding.weight.detach().clone()
        positions = torch.full((len(weight),), -1, device=weight.device)
        positions[seen] = torch.arange(len(seen), device=weight.device)
        padding = embedding.padding_idx
        self.padding_position = None if padding is None else int(positions[padding])
        self.decay = 1.0
        self.rows = nn.Parameter(weight[seen], requires_grad=embedding.weight.requires_grad)
        for name, value in (("table", weight), ("seen", seen), ("positions", positions)):
            self.register_buffer(name, value, persistent=False)
        self.register_state_dict_post_hook(_save_all_vectors)
        self.register_load_state_dict_pre_hook(_load_all_vectors)
        _follow_optimizer(self)

    @property
    def weight(self) -> Tensor:
        """All vectors; those of seen ids have gradients. *Shape:* (V, D)."""
        return (self.table * self.decay).index_copy(0, self.seen, self.rows)

    def forward(self, ids: Tensor) -> Tensor:
        """The vectors of ids; in training, all ids must be seen ones. *Shape:* (...) -> (..., D)."""
        positions = self.positions[ids]
        if self.training:
            return functional.embedding(positions, self.rows, self.padding_position)
        found = functional.embedding(positions.clamp(min=0), self.rows, self.padding_position)
        others = (self.table[ids] * self.decay).to(found.dtype)
        return torch.where((positions < 0).unsqueeze(-1), others, found)

    def get_extra_state(self) -> Tensor:
        """The decay factor, exactly. *Shape:* ()."""
        return torch.tensor(self.decay, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Sets the decay factor."""
        self.decay = float(state)


def _save_all_vectors(module: ReducedVocabularyEmbedding, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    del state[f"{prefix}rows"]
    state[f"{prefix}weight"] = module.weight.detach()


def _load_all_vectors(module: ReducedVocabularyEmbedding, state: dict[str, Any], prefix: str, *_: Any) -> None:
    weight = state.pop(f"{prefix}weight", None)
    if weight is None:
        return
    state[f"{prefix}rows"] = weight[module.seen.to(weight.device)]
    if prefix + EXTRA_STATE not in state:
        # The weights of a model; only the state of a run has a decay factor.
        module.table.copy_(weight)
        state[prefix + EXTRA_STATE] = torch.ones((), dtype=torch.float64)


def _follow_optimizer(module: ReducedVocabularyEmbedding) -> None:
    """Applies the weight decay of unseen vectors after each step in which an optimizer updates the seen ones."""
    reference = weakref.ref(module)

    def decay_unseen(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        embedding = reference()
        if embedding is None or embedding.rows.grad is None:
            return
        for group in optimizer.param_groups:
            if any(parameter is embedding.rows for parameter in group["params"]):
                embedding.decay *= 1 - group["lr"] * group["weight_decay"]

    handle = register_optimizer_step_post_hook(decay_unseen)
    weakref.finalize(module, handle.remove)


def reduce_vocabulary(model: Model, seen_subwords: Iterable[np.ndarray]) -> None:
    """Replaces the embedding of subwords, if this does not change training; call it before the optimizer is created.

    ``seen_subwords`` are all ids of the training data, in one or several arrays.
    """
    name = _embedding_name(model)
    if name is None:
        return
    embedding = model.get_submodule(name)
    assert isinstance(embedding, nn.Embedding)
    is_seen = np.zeros(embedding.num_embeddings, dtype=bool)
    special = np.array([model.encoder.pad_id, *model.tokenizer.tokenizer.all_special_ids])
    for ids in (special, *seen_subwords):
        # An id beyond the embedding raises an error in the forward pass, with or without this module.
        is_seen[ids[ids < len(is_seen)]] = True
    if embedding.padding_idx is not None:
        is_seen[embedding.padding_idx] = True
    if is_seen.mean() > 1 - MINIMUM_UNSEEN:
        return
    seen = torch.from_numpy(is_seen.nonzero()[0]).to(embedding.weight.device)
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, ReducedVocabularyEmbedding(embedding, seen))
    logger.info(
        "%d of %d subwords are in the training data: the remaining embeddings get weight decay only",
        len(seen),
        len(is_seen),
    )


def _embedding_name(model: Model) -> str | None:
    """The name of the encoder's embedding of subwords, if it is a plain, trained embedding without another use."""
    params = model.config.params.encoder
    # A language model reads all vectors, or gets random subwords as input.
    if not params.update_weights_encoder or params.lora is not None or model.pretrained.kind is not None:
        return None
    embedding = model.pretrained.subword_embedding
    if (
        type(embedding) is not nn.Embedding
        or embedding.max_norm is not None
        or embedding.sparse
        or embedding.scale_grad_by_freq
        or not embedding.weight.requires_grad
    ):
        return None
    parameters = model.named_parameters(remove_duplicate=False)
    names = [name for name, parameter in parameters if parameter is embedding.weight]
    return names[0].removesuffix(".weight") if len(names) == 1 else None
