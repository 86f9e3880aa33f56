"""Metrics of numbers, distributions and strings agree with scipy, torch and scikit-learn, and with brute force."""

import math
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import pdist
from sklearn.metrics import mean_absolute_error

from machamp_lite.metrics import METRICS

seeds = pytest.mark.parametrize("seed", range(20))


def score(name: str, gold: list, predicted: list) -> float:
    metric = METRICS[name]()
    metric.add(gold, predicted)
    return metric.value()


@seeds
def test_distance_of_numbers_and_of_tuples_equals_that_of_scikit_learn(seed: int) -> None:
    gold, predicted = np.random.default_rng(seed).normal(size=(2, 12, 3))
    expected = pytest.approx(mean_absolute_error(gold, predicted))
    for name in ("avg_dist", "mae"):
        assert score(name, gold.flatten().tolist(), predicted.flatten().tolist()) == expected
    assert score("mae", list(map(tuple, gold.tolist())), list(map(tuple, predicted.tolist()))) == expected


@seeds
def test_average_distance_of_distributions_is_half_the_sum_of_differences(seed: int) -> None:
    gold, predicted = np.random.default_rng(seed).dirichlet(np.ones(4), size=(2, 12))
    halves = [pdist(np.stack(pair), "cityblock").item() / 2 for pair in zip(gold, predicted, strict=True)]
    found = score("avg_dist", list(map(tuple, gold.tolist())), list(map(tuple, predicted.tolist())))
    assert found == pytest.approx(np.mean(halves)) and 0.0 < found < 1.0


@pytest.mark.parametrize("name", ["avg_dist", "mae", "kl"])
def test_distributions_of_different_lengths_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="shorter"):
        score(name, [(0.5, 0.5)], [(1.0,)])


@seeds
@pytest.mark.parametrize("values", [3, 1000], ids=["ties", "few ties"])
def test_correlations_equal_those_of_scipy(seed: int, values: int) -> None:
    generator = np.random.default_rng(seed)
    gold = np.concatenate([[0, 1], generator.integers(values, size=40)]) / 7
    predicted = np.concatenate([[1, 2], generator.integers(values, size=40)]) ** 2 / 3 + 100 * gold * (
        seed % 2
    )
    for name, reference in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        assert score(name, gold.tolist(), predicted.tolist()) == pytest.approx(reference(gold, predicted)[0])


@pytest.mark.parametrize("name", ["pearson", "spearman"])
@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([1.0], [2.0], 0.0),
        ([0.1] * 7, [float(number) for number in range(7)], 0.0),
        ([float(number) for number in range(7)], [0.1] * 7, 0.0),
        ([1.0, 2.0], [4.0, 3.0], -1.0),
        ([1, 2], [3, 4], 1.0),
        ([1e300, -1e300, 0.0], [1e-300, -1e-300, 0.0], 1.0),
        ([1e9 + 1, 1e9 + 2, 1e9 + 3], [1.0, 2.0, 3.0], 1.0),
    ],
)
def test_correlations_are_zero_where_undefined_and_hold_for_all_sizes(
    name: str, gold: list, predicted: list, expected: float
) -> None:
    assert score(name, gold, predicted) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["avg_dist", "mae", "pearson", "spearman", "perplexity"])
def test_values_are_the_same_to_the_last_bit_in_any_order(name: str) -> None:
    generator = random.Random(0)
    pairs = [(generator.gauss(0, 1), -generator.random()) for _ in range(500)]
    values = set()
    for _ in range(5):
        generator.shuffle(pairs)
        values.add(score(name, [pair[0] for pair in pairs], [pair[1] for pair in pairs]))
    assert len(values) == 1


@seeds
def test_perplexity_equals_that_of_the_cross_entropy_of_torch(seed: int) -> None:
    torch.manual_seed(seed)
    scores, gold = torch.randn(30, 9, dtype=torch.float64), torch.randint(9, (30,))
    predicted = scores.log_softmax(-1)[torch.arange(30), gold].tolist()
    expected = torch.nn.functional.cross_entropy(scores, gold).exp().item()
    assert score("perplexity", [f"word{number}" for number in gold], predicted) == pytest.approx(expected)


@pytest.mark.parametrize("log_probability", [-1000.0, -math.inf])
def test_perplexity_is_a_finite_number(log_probability: float) -> None:
    assert 1e300 < score("perplexity", ["a"], [log_probability]) < math.inf


@seeds
def test_divergence_equals_that_of_scipy_and_torch(seed: int) -> None:
    generator = np.random.default_rng(seed)
    gold, predicted = generator.dirichlet(np.full(4, 2.0), size=(2, 10))
    # A gold zero adds nothing.
    gold[0] = [0.5, 0.5, 0.0, 0.0]
    value = score("kl", list(map(tuple, gold.tolist())), list(map(tuple, predicted.tolist())))
    assert value == pytest.approx(stats.entropy(gold, predicted, axis=1).mean())
    torch_gold, torch_predicted = torch.as_tensor(gold), torch.as_tensor(predicted)
    expected = torch.nn.functional.kl_div(torch_predicted.log(), torch_gold, reduction="batchmean")
    assert value == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ((1.0, 0.0), (0.0, 1.0), math.log(1e6)),
        ((1.0, 0.0), (1e-9, 1.0), math.log(1e6)),
        ((0.0, 1.0), (1e-4, 1 - 1e-4), -math.log(1 - 1e-4)),
        ((1 / 3, 1 / 3, 0.33), (1 / 3, 1 / 3, 0.34), 0.0),
    ],
)
def test_divergence_is_finite_and_never_negative(gold: tuple, predicted: tuple, expected: float) -> None:
    assert score("kl", [gold], [predicted]) == pytest.approx(expected)


def brute_force_chrf(gold: list[str], predicted: list[str]) -> float:
    """Mean precision and recall over the orders that both sides have, and their F2."""

    def ngrams(text: str, order: int) -> Counter[str]:
        text = "".join(text.split())
        return Counter(text[start : start + order] for start in range(len(text) - order + 1))

    shares = []
    for order in range(1, 7):
        pairs = [
            (ngrams(right, order), ngrams(found, order)) for right, found in zip(gold, predicted, strict=True)
        ]
        # As sacrebleu has it, n-grams do not count as wrong where the gold text is too short to have any.
        in_predicted = sum(found.total() for right, found in pairs if right)
        in_gold = sum(right.total() for right, _ in pairs)
        both = sum((right & found).total() for right, found in pairs)
        if in_gold and in_predicted:
            shares.append((both / in_predicted, both / in_gold))
    precision, recall = (sum(side) / len(shares) for side in zip(*shares, strict=True))
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


@seeds
def test_chrf_equals_its_definition(seed: int) -> None:
    generator = random.Random(seed)
    words = ["der", "die", "das", "Hund", "Hündin", "läuft", "a", "."]
    gold, predicted = (
        [" ".join(generator.choices(words, k=generator.randint(1, 6))) for _ in range(8)] for _ in range(2)
    )
    # Pairs that occur more than once count as often.
    gold, predicted = gold + gold[:3], predicted + predicted[:3]
    assert score("chrf", gold, predicted) == pytest.approx(brute_force_chrf(gold, predicted))


def brute_force_bleu(gold: list[str], predicted: list[str]) -> float:
    """The geometric mean of the precisions of n-grams, times the penalty for outputs that are too short."""

    def ngrams(text: str, order: int) -> Counter[tuple[str, ...]]:
        words = text.split()
        return Counter(tuple(words[start : start + order]) for start in range(len(words) - order + 1))

    shares = []
    for order in range(1, 5):
        pairs = [(ngrams(right, order), ngrams(found, order)) for right, found in zip(gold, predicted, strict=True)]
        both = sum((right & found).total() for right, found in pairs)
        shares.append(both / sum(found.total() for _, found in pairs))
    lengths = [sum(len(text.split()) for text in side) for side in (gold, predicted)]
    penalty = min(1.0, math.exp(1 - lengths[0] / lengths[1]))
    return penalty * math.prod(shares) ** 0.25


@seeds
def test_bleu_equals_its_definition(seed: int) -> None:
    generator = random.Random(seed)
    words = ["der", "die", "Hund", "läuft"]
    gold = [" ".join(generator.choices(words, k=generator.randint(6, 12))) for _ in range(20)]
    # One word of each is another, so that some n-grams of each order are right.
    predicted = [" ".join(["Haus", *text.split()[1 : generator.randint(5, 12)]]) for text in gold]
    assert score("bleu", gold, predicted) == pytest.approx(brute_force_bleu(gold, predicted))


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("", "", 0.0),
        ("abc", "", 0.0),
        ("", "abc", 0.0),
        ("abc", "xyz", 0.0),
        ("a b", "ab", 1.0),
        ("läuft", "läuft", 1.0),
    ],
)
def test_chrf_of_special_strings(gold: str, predicted: str, expected: float) -> None:
    assert score("chrf", [gold], [predicted]) == pytest.approx(expected)


def test_sacrebleu_is_imported_only_when_it_is_needed() -> None:
    program = "import machamp_lite.metrics, sys; sys.exit('sacrebleu' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
