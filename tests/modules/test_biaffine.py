"""Biaffine scores against sums written out."""

import torch

from machamp_lite.modules.biaffine import ArcScores, PairLabelScores


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


def test_pair_label_scores_equal_one_bilinear_form_a_label() -> None:
    module = PairLabelScores(width=3, labels=4)
    torch.nn.init.normal_(module.bilinear)
    dependents, heads = torch.randn(6, 3), torch.randn(6, 3)
    reference = torch.nn.Bilinear(3, 3, 4, bias=False)
    reference.weight.data = module.bilinear.data
    expected = reference(dependents, heads) + module.linear(torch.cat([dependents, heads], dim=1))
    assert torch.allclose(module(dependents, heads), expected, atol=1e-5)
