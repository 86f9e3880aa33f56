"""Marginals and sums over trees agree with the enumeration of all trees, for scores of any size."""

from itertools import product

import pytest
import torch
from torch import Tensor

from machamp_lite.nn.arc_marginals import arc_marginals
from machamp_lite.nn.tree_marginals import log_tree_partition, tree_marginals


def trees(words: int) -> list[tuple[int, ...]]:
    """The heads of all trees with one root."""

    def is_tree(heads: tuple[int, ...]) -> bool:
        def root(word: int) -> int:
            for _ in range(words):
                word = heads[word - 1] if word else 0
            return word

        return heads.count(0) == 1 and not any(map(root, range(1, words + 1)))

    return [heads for heads in product(range(words + 1), repeat=words) if is_tree(heads)]


def by_hand(scores: Tensor, words: int) -> tuple[float, Tensor]:
    """The logarithm of the sum over trees, and marginals. *Shape:* -> (words, words + 1)."""
    every = trees(words)
    own = scores[:words, : words + 1].double()
    sums = torch.stack([own[range(words), heads].sum() for heads in map(list, every)])
    marginals = torch.zeros_like(own)
    for heads, weight in zip(every, sums.softmax(0), strict=True):
        marginals[range(words), list(heads)] += weight
    return float(sums.logsumexp(0)), marginals


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0, 100.0, 3000.0])
def test_marginals_and_sums_are_those_of_all_trees(size: float) -> None:
    generator = torch.Generator().manual_seed(int(size))
    lengths = torch.tensor([4, 1, 5, 3, 2])
    scores = torch.randn(5, 5, 6, generator=generator) * size
    found, totals = tree_marginals(scores, lengths), log_tree_partition(scores, lengths)
    assert found.dtype == torch.float32 and totals.dtype == torch.float64
    for sentence, words in enumerate(lengths.tolist()):
        total, marginals = by_hand(scores[sentence], words)
        assert float(totals[sentence]) == pytest.approx(total, abs=1e-7, rel=1e-9)
        assert torch.allclose(found[sentence, :words, : words + 1].double(), marginals, atol=2e-6)
        assert not found[sentence, words:].any() and not found[sentence, :, words + 1 :].any()
        alone = scores[sentence : sentence + 1, :words, : words + 1]
        assert torch.allclose(tree_marginals(alone, lengths[[sentence]])[0], found[sentence, :words, : words + 1])
        assert arc_marginals(alone[0].numpy()) == pytest.approx(marginals.numpy(), abs=1e-9)


def test_two_words_that_prefer_each_other_as_heads_are_exact() -> None:
    """The determinant of such weights is 0 in rounding."""
    scores = torch.tensor([[[1.0, 0.0, 60.0], [0.0, 60.0, 0.0]]])
    total, marginals = by_hand(scores[0], 2)
    assert float(log_tree_partition(scores, torch.tensor([2]))) == pytest.approx(total, rel=1e-12)
    assert torch.allclose(tree_marginals(scores, torch.tensor([2]))[0].double(), marginals, atol=1e-6)
    assert arc_marginals(scores[0].numpy()) == pytest.approx(marginals.numpy(), abs=1e-9)


def test_several_words_that_prefer_the_root_have_one_root() -> None:
    scores = torch.zeros(1, 3, 4)
    scores[:, :, 0] = 500.0
    found = tree_marginals(scores, torch.tensor([3]))[0]
    assert torch.allclose(found, by_hand(scores[0], 3)[1].float(), atol=1e-6)
    assert arc_marginals(scores[0].numpy()) == pytest.approx(found.numpy(), abs=1e-6)


@pytest.mark.parametrize("words", [30, 80])
def test_each_word_has_one_head_and_each_sentence_one_root(words: int) -> None:
    generator = torch.Generator().manual_seed(words)
    scores = torch.randn(2, words, words + 1, generator=generator) * 8
    found = tree_marginals(scores, torch.tensor([words, words - 3]))
    assert torch.allclose(found.sum(2)[0], torch.ones(words), atol=1e-4)
    assert torch.allclose(found[:, :, 0].sum(1), torch.ones(2), atol=1e-4)


def test_infinite_scores_and_no_sentences_are_possible() -> None:
    scores = torch.zeros(1, 3, 4)
    scores[0, 0] = torch.tensor([float("-inf"), float("-inf"), 1.0, float("nan")])
    found = tree_marginals(scores, torch.tensor([3]))
    assert found.isfinite().all() and float(found[0, 0, 2]) == pytest.approx(1.0)
    assert arc_marginals(scores[0].numpy()) == pytest.approx(found[0].numpy(), abs=1e-6)
    assert tree_marginals(torch.zeros(0, 0, 1), torch.zeros(0, dtype=torch.long)).shape == (0, 0, 1)
