"""Padding rows of unequal length and removing the padding."""

import pytest
import torch

from machamp_lite.nn.ragged import flatten, pad, padded_positions, starts_of

LENGTHS = [[3], [1, 1, 1], [2, 5, 1], [4, 0, 2], [0], []]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_flatten_undoes_pad(lengths: list[int]) -> None:
    flat = torch.randn(sum(lengths), 4)
    sizes = torch.tensor(lengths, dtype=torch.long)
    assert torch.equal(flatten(pad(flat, sizes), sizes), flat)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_rows_are_in_order_and_padding_is_filled(lengths: list[int]) -> None:
    flat = torch.arange(1, sum(lengths) + 1)
    padded = pad(flat, torch.tensor(lengths, dtype=torch.long), value=0)
    assert padded.shape == (len(lengths), max(lengths, default=0))
    end = 0
    for row, length in zip(padded.tolist(), lengths, strict=True):
        assert row == [*range(end + 1, end + length + 1), *[0] * (len(row) - length)]
        end += length


def test_positions_and_starts_by_hand() -> None:
    lengths = torch.tensor([2, 3, 1])
    assert padded_positions(lengths).tolist() == [0, 1, 3, 4, 5, 6]
    assert starts_of(lengths).tolist() == [0, 2, 5, 6]


def test_gradients_pass_through_pad() -> None:
    flat = torch.randn(5, 2, requires_grad=True)
    pad(flat, torch.tensor([2, 3])).sum().backward()
    assert torch.equal(flat.grad, torch.ones(5, 2))
