"""A stand-in for an embedding that trains some of its rows."""

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from machamp_lite.acceleration.reduced_vocabulary import ReducedVocabularyEmbedding

SEEN = torch.tensor([0, 2, 3, 7])
IN_TRAINING = torch.tensor([[2, 7, 0], [3, 2, 0]])
EVERY_ID = torch.arange(9).reshape(3, 3)


def pair(padding_idx: int | None = 0) -> tuple[nn.Embedding, ReducedVocabularyEmbedding]:
    torch.manual_seed(1)
    embedding = nn.Embedding(9, 4, padding_idx=padding_idx)
    return embedding, ReducedVocabularyEmbedding(embedding, SEEN)


def whole(embedding: ReducedVocabularyEmbedding) -> torch.Tensor:
    """As AdamW would have left it."""
    table = embedding.table * embedding.decay
    table[SEEN] = embedding.rows.detach()
    return table


def changed(embedding: ReducedVocabularyEmbedding) -> ReducedVocabularyEmbedding:
    with torch.no_grad():
        embedding.rows.normal_()
    embedding.decay = 0.75
    return embedding


@pytest.mark.parametrize("padding_idx", [None, 0, 3])
def test_vectors_and_gradients_are_those_of_the_embedding(padding_idx: int | None) -> None:
    embedding, seen = pair(padding_idx)
    for ids, training in ((IN_TRAINING, True), (IN_TRAINING, False), (EVERY_ID, False)):
        found, expected = seen.train(training)(ids), embedding.train(training)(ids)
        assert torch.equal(found, expected)
        factors = torch.randn(expected.shape)
        for vectors in (found, expected):
            (vectors * factors).sum().backward()
        assert seen.rows.grad is not None
        assert embedding.weight.grad is not None
        assert torch.equal(seen.rows.grad, embedding.weight.grad[SEEN])
        seen.zero_grad()
        embedding.zero_grad()


def test_training_on_a_row_that_was_not_seen_fails() -> None:
    with pytest.raises(IndexError):
        pair()[1].train()(torch.tensor([1]))


def test_rows_that_are_not_seen_decay_the_same_wherever_they_are_read() -> None:
    seen = changed(pair()[1]).eval()
    assert torch.equal(seen.weight, whole(seen))
    assert torch.equal(seen(EVERY_ID), whole(seen)[EVERY_ID])
    assert torch.equal(seen.plain().weight, whole(seen))
    assert torch.equal(seen.state_dict()["weight"], whole(seen))


@pytest.mark.parametrize("learns", [True, False])
def test_it_becomes_an_embedding_again(learns: bool) -> None:
    embedding = nn.Embedding(9, 4, padding_idx=3).requires_grad_(learns)
    plain = ReducedVocabularyEmbedding(embedding, SEEN).plain()
    assert type(plain) is nn.Embedding
    assert (plain.padding_idx, plain.weight.requires_grad) == (3, learns)
    assert torch.equal(plain.weight, embedding.weight)


def test_saved_it_is_the_embedding() -> None:
    embedding, seen = pair()
    expected = {name: (value.shape, value.dtype) for name, value in embedding.state_dict().items()}
    assert {name: (value.shape, value.dtype) for name, value in seen.state_dict().items()} == expected
    embedding.load_state_dict(changed(seen).state_dict())
    assert torch.equal(embedding.weight, whole(seen))


def test_loaded_it_has_the_rows_and_its_own_decay(tmp_path: object) -> None:
    path = f"{tmp_path}/weights.safetensors"
    source = nn.Sequential(changed(pair()[1]), nn.Linear(4, 4))
    save_model(source, path)
    _, seen = pair()
    load_model(nn.Sequential(seen, nn.Linear(4, 4)), path)
    assert torch.equal(seen.rows, source[0].rows)
    assert seen.decay == 1.0
    with pytest.raises(RuntimeError, match="Missing key"):
        seen.load_state_dict({})
