"""Attention over segments in one row is that of each segment alone."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from machamp_lite.acceleration.packed_attention import (
    attend,
    packed_attention,
    segment_mask_context,
)


@pytest.mark.parametrize("lengths", [[5], [1, 1, 1], [2, 2, 7, 7, 7, 3], [4, 2, 4]])
def test_each_segment_attends_to_itself_alone(lengths: list[int]) -> None:
    torch.manual_seed(sum(lengths))
    states = [torch.randn(1, 3, sum(lengths), 8, requires_grad=True) for _ in range(3)]
    with segment_mask_context(lengths):
        packed, weights = packed_attention(torch.nn.Identity(), *states, None, scaling=0.4)
    alone = [
        scaled_dot_product_attention(*parts, scale=0.4).transpose(1, 2)
        for parts in zip(*(state.split(lengths, dim=2) for state in states), strict=True)
    ]
    expected = torch.cat(alone, dim=1)
    assert weights is None
    torch.testing.assert_close(packed, expected)
    with torch.no_grad(), segment_mask_context(lengths):
        without_gradients, _ = packed_attention(torch.nn.Identity(), *states, None, scaling=0.4)
    torch.testing.assert_close(without_gradients, expected)
    weighted = torch.randn_like(packed)
    gradients = [torch.autograd.grad((output * weighted).sum(), states) for output in (packed, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_dropout_applies_to_the_attention_weights() -> None:
    states = [torch.randn(1, 2, 6, 4) for _ in range(3)]
    with segment_mask_context([3, 3]):
        kept, _ = packed_attention(torch.nn.Identity(), *states, None)
        dropped, _ = packed_attention(torch.nn.Identity(), *states, None, dropout=0.5)
    assert kept.shape == dropped.shape == (1, 6, 2, 4)
    assert not torch.equal(kept, dropped)


@pytest.mark.parametrize("mask", ["none", "bool", "added"])
def test_attention_for_fast_dropout_equals_torchs_without_dropout(mask: str) -> None:
    torch.manual_seed(3)
    states = [torch.randn(2, 3, 5, 4, requires_grad=True) for _ in range(3)]
    seen = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    seen[1, ..., 3:] = False
    masks = {"none": None, "bool": seen, "added": torch.zeros(2, 1, 5, 5).masked_fill(~seen, float("-inf"))}
    # A probability this small drops nothing, but uses the same code.
    outcomes = [attend(*states, masks[mask], dropout=share, scaling=None) for share in (0.0, 1e-9)]
    torch.testing.assert_close(*outcomes)
    gradients = [torch.autograd.grad(outcome.square().sum(), states) for outcome in outcomes]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    dropped = attend(*states, masks[mask], dropout=0.5, scaling=None)
    assert not torch.allclose(dropped, outcomes[0])
