"""Biaffine scores equal sums over single words and heads."""

import pytest
import torch

from machamp_lite.nn.biaffine import ArcScores, PairLabelScores


def test_arc_scores_are_the_bilinear_form_and_a_bias_for_each_head() -> None:
    module = ArcScores(3)
    torch.nn.init.normal_(module.head_bias)
    dependents, heads = torch.randn(2, 4, 3), torch.randn(2, 5, 3)
    scores = module(dependents, heads)
    assert scores.shape == (2, 4, 5)
    for sentence in range(2):
        for word in range(4):
            for head in range(5):
                expected = dependents[sentence, word] @ module.bilinear @ heads[sentence, head]
                expected = expected + module.head_bias @ heads[sentence, head]
                assert torch.allclose(scores[sentence, word, head], expected, atol=1e-5)


@pytest.mark.parametrize("places", [[3], [0, 0, 0], [4, 1, 4, 0, 1, 4, 2], [], list(range(5)) * 9])
def test_pair_label_scores_equal_one_bilinear_form_per_label(places: list[int]) -> None:
    module = PairLabelScores(width=3, labels=4)
    torch.nn.init.normal_(module.bilinear)
    dependents, heads, chosen = torch.randn(len(places), 3), torch.randn(5, 3), torch.tensor(places).long()
    reference = torch.nn.Bilinear(3, 3, 4, bias=False)
    reference.weight.data = module.bilinear.data
    of_each = heads[chosen]
    expected = reference(dependents, of_each) + module.linear(torch.cat([dependents, of_each], dim=1))
    assert torch.allclose(module(dependents, heads, chosen), expected, atol=1e-5)
    with torch.inference_mode():
        assert torch.allclose(module(dependents, heads, chosen), expected, atol=1e-5)
