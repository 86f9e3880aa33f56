"""Poolings against loops over spans."""

import pytest
import torch
from torch import Tensor

from machamp_lite.nn.pooling import AttentionPooling, Pooling, mean_of_segments, pool

# Of spans with gaps between them, in an order that is not that of the rows.
STARTS, ENDS = torch.tensor([1, 4, 5, 9, 12]), torch.tensor([3, 4, 7, 9, 14])
REFERENCES = {
    "first": lambda span: span[0],
    "last": lambda span: span[-1],
    "first_last": lambda span: (span[0] + span[-1]) / 2,
    "mean": lambda span: span.mean(0),
    "max": lambda span: span.max(0).values,
}


@pytest.fixture
def layers() -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(20, 6, requires_grad=True) for _ in range(3)]


@pytest.fixture
def rows() -> Tensor:
    torch.manual_seed(2)
    return torch.randperm(20)[:16]


def reference(layers: list[Tensor], rows: Tensor, pooling: Pooling) -> Tensor:
    spans = [rows[start : end + 1] for start, end in zip(STARTS.tolist(), ENDS.tolist(), strict=True)]
    return torch.stack([torch.stack([REFERENCES[pooling](layer[span]) for span in spans]) for layer in layers])


@pytest.mark.parametrize("pooling", REFERENCES)
def test_a_pooling_and_its_gradient_are_those_of_a_loop(layers: list[Tensor], rows: Tensor, pooling: Pooling) -> None:
    found, expected = pool(layers, rows, starts=STARTS, ends=ENDS, pooling=pooling), reference(layers, rows, pooling)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), layers), torch.autograd.grad((expected * weights).sum(), layers)
    )


@pytest.mark.parametrize("pooling", REFERENCES)
def test_spans_of_one_subword_have_its_state(layers: list[Tensor], rows: Tensor, pooling: Pooling) -> None:
    found = pool(layers, rows, starts=STARTS, ends=STARTS, pooling=pooling)
    assert torch.equal(found, torch.stack([layer[rows[STARTS]] for layer in layers]))


@pytest.mark.parametrize("pooling", REFERENCES)
def test_poolings_of_bf16_states_are_near_those_of_fp32(rows: Tensor, pooling: Pooling) -> None:
    layers = [torch.rand(20, 6, dtype=torch.bfloat16)]
    found = pool(layers, rows, starts=STARTS, ends=ENDS, pooling=pooling)
    assert found.dtype == torch.bfloat16
    exact = reference([layer.float() for layer in layers], rows, pooling)
    torch.testing.assert_close(found.float(), exact, rtol=1e-2, atol=1e-2)


def test_a_mean_of_many_bf16_states_is_exact() -> None:
    states = torch.full((500, 2), 1.0, dtype=torch.bfloat16)
    found = pool([states], torch.arange(500), starts=torch.tensor([0]), ends=torch.tensor([499]), pooling="mean")
    assert found.tolist() == [[[1.0, 1.0]]]


def test_attention_takes_all_subwords_of_the_spans(layers: list[Tensor], rows: Tensor) -> None:
    found = pool(layers, rows, starts=STARTS, ends=ENDS, pooling="attention")
    assert torch.equal(found[1], layers[1][torch.cat([rows[1:4], rows[4:5], rows[5:8], rows[9:10], rows[12:15]])])
    alone = pool(layers, rows, starts=STARTS, ends=STARTS, pooling="attention")
    assert torch.equal(alone[2], layers[2][rows[STARTS]])


def test_attention_is_that_of_padded_rows() -> None:
    torch.manual_seed(3)
    lengths, attention = torch.tensor([3, 1, 5]), AttentionPooling(4)
    subwords = torch.randn(9, 4)
    attention.query.data = torch.randn(4)
    padded = torch.nn.utils.rnn.pad_sequence(subwords.split(lengths.tolist()), batch_first=True)
    scores = (padded * attention.query).sum(-1) / 4**0.5
    scores[torch.arange(5) >= lengths[:, None]] = -1e9
    expected = (scores.softmax(-1).unsqueeze(-1) * padded).sum(1)
    torch.testing.assert_close(attention(subwords, lengths), expected)


def test_attention_starts_as_the_mean_and_learns_its_query() -> None:
    subwords, attention = torch.randn(5, 4), AttentionPooling(4)
    found = attention(subwords, torch.tensor([2, 3]))
    torch.testing.assert_close(found, torch.stack([subwords[:2].mean(0), subwords[2:].mean(0)]))
    (found**2).sum().backward()
    assert attention.query.grad is not None and bool(attention.query.grad.any())


@pytest.mark.parametrize("segments", [[1, 1, 1, 1], [2, 1, 1], [4], [1, 3]])
def test_the_mean_of_segments_is_that_of_each_sentence(segments: list[int]) -> None:
    states = torch.randn(3, 4, 2)
    expected = torch.stack([part.mean(1) for part in states.split(segments, dim=1)], dim=1)
    torch.testing.assert_close(mean_of_segments(states, torch.tensor(segments)), expected)
