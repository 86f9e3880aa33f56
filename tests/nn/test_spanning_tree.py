"""Decoded trees are trees, and no tree has a higher score."""

from collections.abc import Callable
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from machamp_lite.nn.best_tree import cyclic_words, decode_tree
from machamp_lite.nn.spanning_tree import decode_trees

Change = Callable[[Tensor], Tensor]


def is_tree(heads: np.ndarray) -> bool:
    """Whether there is one child of the root, and the root is reached from each word."""
    if list(heads).count(0) != 1:
        return False
    for word in range(1, len(heads) + 1):
        for _ in heads:
            word = heads[word - 1] if word else 0
        if word:
            return False
    return True


@cache
def all_trees(words: int) -> np.ndarray:
    candidates = product(range(words + 1), repeat=words)
    return np.array([heads for heads in candidates if is_tree(np.array(heads))])


def total(scores: Tensor, trees: np.ndarray) -> np.ndarray:
    return np.take_along_axis(scores.double().numpy()[None], trees[..., None], 2).sum((1, 2))


def decode_one(scores: Tensor) -> np.ndarray:
    heads = decode_trees(scores[None], [len(scores)])
    assert (heads == decode_tree(scores.numpy())).all()
    return heads


def random_batch(lengths: list[int], *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(lengths), max(lengths), max(lengths) + 1, generator=generator)


def normal(scores: Tensor) -> Tensor:
    return scores


def with_many_ties(scores: Tensor) -> Tensor:
    return scores.round()


def all_equal(scores: Tensor) -> Tensor:
    return torch.zeros_like(scores)


def with_roots_preferred(scores: Tensor) -> Tensor:
    return scores + 5 * (torch.arange(scores.shape[2]) == 0)


def with_large_magnitudes(scores: Tensor) -> Tensor:
    return scores * 10 ** (10 * scores).round().clamp(-30, 30)


def with_huge_root_scores(scores: Tensor) -> Tensor:
    return scores + 1e30 * (torch.arange(scores.shape[2]) == 0)


def near_the_end_of_double(scores: Tensor) -> Tensor:
    return scores.double() * 1e299 / 5


def with_forbidden_arcs(scores: Tensor) -> Tensor:
    return scores.masked_fill(scores < 0.3, -torch.inf)


def all_forbidden(scores: Tensor) -> Tensor:
    return torch.full_like(scores, -torch.inf)


def with_infinities_and_nan(scores: Tensor) -> Tensor:
    return (scores * 3).round().log()


FINITE = [
    normal,
    with_many_ties,
    all_equal,
    with_roots_preferred,
    with_large_magnitudes,
    with_huge_root_scores,
    near_the_end_of_double,
]
INFINITE = [with_forbidden_arcs, all_forbidden, with_infinities_and_nan]


def test_there_are_as_many_trees_as_cayley_counted() -> None:
    assert [len(all_trees(words)) for words in range(1, 6)] == [1, 2, 9, 64, 625]


@pytest.mark.parametrize("change", FINITE, ids=lambda change: change.__name__)
@pytest.mark.parametrize("words", range(1, 6))
def test_no_tree_scores_more_than_the_decoded_one(words: int, change: Change) -> None:
    batch = change(random_batch([words] * 100, seed=words))
    decoded = decode_trees(batch, [words] * 100).reshape(100, words)
    for scores, heads in zip(batch, decoded, strict=True):
        best = total(scores, all_trees(words)).max()
        assert total(scores, heads[None])[0] == pytest.approx(best, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("words", range(2, 6))
def test_trees_have_as_few_forbidden_arcs_as_possible_and_the_best_others(words: int) -> None:
    batch = with_forbidden_arcs(random_batch([words] * 100, seed=words))
    decoded = decode_trees(batch, [words] * 100).reshape(100, words)
    trees = all_trees(words)
    for scores, heads in zip(batch, decoded, strict=True):
        # With a penalty larger than the sum of all scores, the total counts the forbidden arcs.
        penalised = scores.clamp(min=-1e4)
        assert total(penalised, heads[None])[0] == pytest.approx(total(penalised, trees).max(), rel=1e-9)


@pytest.mark.parametrize("change", FINITE + INFINITE, ids=lambda change: change.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_every_output_is_a_single_rooted_tree(seed: int, change: Change) -> None:
    lengths = np.random.default_rng(seed).integers(1, 41, size=12).tolist()
    decoded = decode_trees(change(random_batch(lengths, seed=seed)), lengths)
    assert decoded.dtype == np.int64
    assert decoded.shape == (sum(lengths),)
    assert all(is_tree(heads) for heads in np.split(decoded, np.cumsum(lengths)[:-1]))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_floats_make_a_tree(data: st.DataObject) -> None:
    words = data.draw(st.integers(1, 5))
    floats = st.lists(st.floats(), min_size=words * (words + 1), max_size=words * (words + 1))
    scores = torch.tensor(data.draw(floats), dtype=torch.float64).reshape(words, words + 1)
    assert is_tree(decode_one(scores))


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_is_decoded_like_its_sentences_and_padding_does_not_matter(seed: int) -> None:
    lengths = [5, 1, 17, 8, 2, 30]
    batch = random_batch(lengths, seed=seed)
    # In half of the sentences, the best heads are a tree: each word's head is the word before.
    for sentence in (1, 3, 5):
        batch[sentence].diagonal().fill_(50.0)
    singles = [
        decode_one(scores[:length, : length + 1]) for scores, length in zip(batch, lengths, strict=True)
    ]
    for padding in (-torch.inf, 0.0, 100.0, torch.inf, torch.nan):
        for scores, length in zip(batch, lengths, strict=True):
            scores[length:] = padding
            scores[:, length + 1 :] = padding
        assert np.array_equal(decode_trees(batch, lengths), np.concatenate(singles))
        assert np.array_equal(decode_trees(batch, torch.tensor(lengths)), np.concatenate(singles))


@pytest.mark.parametrize(
    ("arcs", "expected"),
    [
        ([[7, 9]], [0]),
        ([[0, 9, 5], [5, 3, 9]], [2, 0]),
        ([[1, 9, 5], [4, 9, 9]], [0, 1]),
        ([[1, 0, 9, 0], [3, 9, 0, 0], [0, 0, 5, 0]], [2, 0, 2]),
        ([[9, 0, 0, 0], [0, 9, 0, 8], [0, 0, 9, 0]], [0, 1, 2]),
        ([[9, 0, 1, 1], [9, 1, 0, 4], [9, 2, 1, 0]], [0, 3, 1]),
    ],
)
def test_sentences_worked_by_hand(arcs: list[list[float]], expected: list[int]) -> None:
    assert decode_one(torch.tensor(arcs, dtype=torch.float)).tolist() == expected


def test_a_cycle_within_a_cycle_is_taken_apart() -> None:
    # Each pair of words prefers each other, each pair of pairs the other pair, and so on.
    words = 32
    position = np.arange(words)
    distance = np.frompyfunc(int.bit_length, 1, 1)(position[:, None] ^ position).astype(float)
    scores = torch.zeros(words, words + 1)
    scores[:, 1:] = torch.from_numpy(100 - 3 * distance)
    decoded = decode_one(scores)
    assert is_tree(decoded)
    # One arc within each pair, one between each pair of pairs, and so on.
    assert total(scores, decoded[None])[0] == sum(2**level * (100 - 3 * (5 - level)) for level in range(5))


def test_self_loops_are_never_taken() -> None:
    scores = torch.zeros(4, 5)
    scores.diagonal(1).fill_(100.0)
    assert is_tree(decode_one(scores))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_of_all_precisions_and_with_gradients_are_decoded(dtype: torch.dtype) -> None:
    scores = random_batch([6, 9], seed=0).to(dtype).requires_grad_()
    first, second = np.split(decode_trees(scores, [6, 9]), [6])
    assert is_tree(first) and is_tree(second)


@pytest.mark.parametrize(("shape", "lengths"), [((0, 0, 1), []), ((2, 0, 1), [0, 0]), ((1, 3, 4), [0])])
def test_no_words_have_no_heads(shape: tuple[int, int, int], lengths: list[int]) -> None:
    assert decode_trees(torch.zeros(shape), lengths).shape == (0,)


@pytest.mark.parametrize(
    ("shape", "lengths"), [((1, 3, 3), [3]), ((1, 3, 4), [4]), ((2, 3, 4), [3]), ((3, 4), [3])]
)
def test_scores_that_do_not_fit_the_lengths_are_refused(shape: tuple[int, ...], lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        decode_trees(torch.zeros(shape), lengths)


def first_on_a_cycle(heads: tuple[int, ...]) -> int:
    """The first word that is its own ancestor, 0 if there is none."""
    for word in range(1, len(heads) + 1):
        ancestor = word
        for _ in heads:
            ancestor = heads[ancestor - 1] if ancestor else 0
            if ancestor == word:
                return word
    return 0


def test_cycles_are_found_at_their_first_word() -> None:
    every = [heads for words in range(1, 5) for heads in product(range(words + 1), repeat=words)]
    found = cyclic_words(np.concatenate(every), np.array([len(heads) for heads in every]))
    assert found.tolist() == [first_on_a_cycle(heads) for heads in every]
    one_long = np.append(np.arange(2, 2001), 1)
    assert cyclic_words(np.concatenate([one_long, [0]]), np.array([2000, 1])).tolist() == [1, 0]
    assert cyclic_words(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []
