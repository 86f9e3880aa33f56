"""A table of vectors of which training sees a few, and trains those alone."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class ReducedVocabularyEmbedding(nn.Module):
    """Stands in for an embedding while training looks at some of its rows only.

    The ``rows`` that are ``seen`` are a parameter. The others have no gradient, so that AdamW does nothing to them but
    weight decay: they are those of the ``table`` as it was, times ``decay``, which whoever updates the rows keeps
    (see ``training/optimization.py``). In ``state_dict`` it looks like the embedding: the whole table, as ``weight``.
    *Shape:* seen (N,) ids that have the padding's among them, table (V, D), rows (N, D).
    """

    table: Tensor
    seen: Tensor
    places: Tensor

    def __init__(self, embedding: nn.Embedding, seen: Tensor) -> None:
        super().__init__()
        weight = embedding.weight.detach().clone()
        places = torch.full((len(weight),), -1, device=weight.device)
        places[seen] = torch.arange(len(seen), device=weight.device)
        self.padding_idx = embedding.padding_idx
        self.padding_place = None if self.padding_idx is None else int(places[self.padding_idx])
        self.decay = 1.0
        self.rows = nn.Parameter(weight[seen], requires_grad=embedding.weight.requires_grad)
        for name, value in (("table", weight), ("seen", seen), ("places", places)):
            self.register_buffer(name, value, persistent=False)
        self.register_state_dict_post_hook(_name_as_one_weight)
        self.register_load_state_dict_pre_hook(_take_rows_of_weight)

    @property
    def weight(self) -> Tensor:
        """The whole table as it stands, with the gradient of the rows. *Shape:* (V, D)."""
        return (self.table * self.decay).index_copy(0, self.seen, self.rows)

    def forward(self, ids: Tensor) -> Tensor:
        """The vectors of ids, which in training are all among the seen ones. *Shape:* (...) -> (..., D)."""
        places = self.places[ids]
        if self.training:
            return functional.embedding(places, self.rows, self.padding_place)
        found = functional.embedding(places.clamp(min=0), self.rows, self.padding_place)
        others = (self.table[ids] * self.decay).to(found.dtype)
        return torch.where((places < 0).unsqueeze(-1), others, found)

    def plain(self) -> nn.Embedding:
        """An embedding of the whole table, as before training."""
        return nn.Embedding.from_pretrained(
            self.weight.detach(), freeze=not self.rows.requires_grad, padding_idx=self.padding_idx
        )


def find_reduced_embedding(modules: Iterable[nn.Module]) -> ReducedVocabularyEmbedding | None:
    """The first among modules, if there is one."""
    return next((module for module in modules if isinstance(module, ReducedVocabularyEmbedding)), None)


def _name_as_one_weight(module: ReducedVocabularyEmbedding, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    del state[f"{prefix}rows"]
    state[f"{prefix}weight"] = module.weight.detach()


def _take_rows_of_weight(module: ReducedVocabularyEmbedding, state: dict[str, Any], prefix: str, *others: Any) -> None:
    """What is not seen stays as it is: it is known without any weights, from table and decay."""
    whole = state.pop(f"{prefix}weight", None)
    if whole is not None:
        state[f"{prefix}rows"] = whole[module.seen.to(whole.device)]
