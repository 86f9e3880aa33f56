"""Paired permutation tests and bootstraps give the p-values and intervals of scipy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.significance import bootstrap_metrics, compare_means, compare_metrics, holm

LABELS = ["a", "b", "c"]


def sentences(number: int, *, seed: int, better: float) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """Gold labels and the predictions of two systems, the second of which is more often right."""
    random = np.random.default_rng(seed)
    gold = [[str(label) for label in random.choice(LABELS, size=random.integers(1, 5))] for _ in range(number)]

    def predicted(accuracy: float) -> list[list[str]]:
        return [
            [label if random.random() < accuracy else str(random.choice(LABELS)) for label in labels] for labels in gold
        ]

    return gold, predicted(0.3), predicted(0.3 + better)


def counted(name: str, gold: Sequence[Sequence[Any]], predicted: Sequence[Sequence[Any]]) -> list[Metric[Any]]:
    metrics = []
    for pair in zip(gold, predicted, strict=True):
        metric = METRICS[name]()
        metric.add(*pair)
        metrics.append(metric)
    return metrics


def value_of(metrics: Sequence[Metric[Any]]) -> float:
    merged = type(metrics[0])()
    for metric in metrics:
        merged.merge(metric)
    return merged.value()


def p_of_scipy(first: Sequence[Any], second: Sequence[Any], value: Callable[..., float], *, resamples: float) -> float:
    """With objects as samples: scipy exchanges their indices."""
    both = [*first, *second]

    def difference(one: np.ndarray, other: np.ndarray) -> float:
        return value([both[int(i)] for i in one]) - value([both[int(i)] for i in other])

    indices = np.arange(len(both)).reshape(2, -1)
    test = stats.permutation_test(
        tuple(indices), difference, permutation_type="samples", vectorized=False, n_resamples=resamples, rng=1
    )
    return float(test.pvalue)


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "f1_micro", "multi_acc", "span_f1"])
@pytest.mark.parametrize(("number", "better"), [(2, 0.5), (8, 0.0), (9, 0.6)])
def test_small_data_has_the_exact_p_value(name: str, number: int, better: float) -> None:
    gold, one, other = sentences(number, seed=number, better=better)
    if name == "span_f1":
        gold, one, other = ([[f"B-{label}" for label in labels] for labels in part] for part in (gold, one, other))
    first, second = counted(name, gold, one), counted(name, gold, other)
    expected = p_of_scipy(first, second, value_of, resamples=np.inf)
    assert compare_metrics(first, second) == pytest.approx(expected)
    assert compare_metrics(second, first) == pytest.approx(expected)


@pytest.mark.parametrize("better", [0.0, 0.1])
def test_large_data_has_nearly_the_p_value_of_scipy(better: float) -> None:
    gold, one, other = sentences(120, seed=3, better=better)
    first, second = counted("accuracy", gold, one), counted("accuracy", gold, other)
    expected = p_of_scipy(first, second, value_of, resamples=999)
    found = compare_metrics(first, second, resamples=2000)
    assert found == pytest.approx(expected, abs=0.03)
    assert found == compare_metrics(first, second, resamples=2000), "the seed decides"


def test_numbers_are_compared_by_their_errors() -> None:
    random = np.random.default_rng(0)
    gold = [[float(x)] for x in random.normal(size=9)]
    one = [[x + float(e)] for (x,), e in zip(gold, random.normal(size=9), strict=True)]
    other = [[x + float(e) / 2] for (x,), e in zip(gold, random.normal(size=9), strict=True)]
    for name in ("mae", "pearson"):
        first, second = counted(name, gold, one), counted(name, gold, other)
        expected = p_of_scipy(first, second, value_of, resamples=np.inf)
        assert compare_metrics(first, second) == pytest.approx(expected)


@pytest.mark.parametrize("number", [2, 3, 6, 9])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_means_have_the_exact_p_value(number: int, shift: float) -> None:
    random = np.random.default_rng(number)
    first = random.normal(size=number)
    second = first + shift + random.normal(size=number) / 2
    expected = stats.permutation_test(
        (first, second), lambda a, b, axis: a.mean(axis) - b.mean(axis), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert compare_means(first.tolist(), second.tolist()) == pytest.approx(expected)


def test_equal_systems_do_not_differ() -> None:
    gold, one, _ = sentences(30, seed=0, better=0.0)
    same = counted("f1_macro", gold, one)
    assert compare_metrics(same, same) == 1.0
    assert compare_metrics([], []) == compare_means([], []) == 1.0
    assert compare_means([0.1, 0.2], [0.1, 0.2]) == 1.0
    # One pair can be exchanged in two ways, with the same absolute difference.
    assert compare_means([0.1], [0.9]) == 1.0


def test_other_sentences_are_refused() -> None:
    gold, one, _ = sentences(3, seed=0, better=0.0)
    metrics = counted("accuracy", gold, one)
    with pytest.raises(ValueError, match="3 and 2 sentences"):
        compare_metrics(metrics, metrics[:2])
    with pytest.raises(ValueError, match="1 and 2 numbers"):
        compare_means([1.0], [1.0, 2.0])


def test_holm_corrects_for_the_number_of_tests() -> None:
    assert holm({"a": 0.01, "b": 0.6, "c": 0.02}) == pytest.approx({"a": 0.03, "b": 0.6, "c": 0.04})
    assert holm({"only": 0.2}) == {"only": 0.2} and holm({}) == {}


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "span_f1"])
@pytest.mark.parametrize("better", [0.0, 0.25])
def test_the_bootstrap_gives_the_interval_of_scipy(name: str, better: float) -> None:
    gold, one, other = sentences(60, seed=3, better=better)
    first, second = counted(name, gold, one), counted(name, gold, other)

    def difference(indices: np.ndarray) -> float:
        return value_of([second[i] for i in indices]) - value_of([first[i] for i in indices])

    # With objects as samples: scipy draws their indices.
    expected = stats.bootstrap(
        (np.arange(60),), difference, vectorized=False, n_resamples=3000, method="percentile", rng=2
    )
    found = bootstrap_metrics(first, second, resamples=3000)
    interval = expected.confidence_interval
    deviation = float(expected.standard_error)
    assert [found.low, found.high] == pytest.approx([interval.low, interval.high], abs=deviation / 5)
    observed = difference(np.arange(60))
    shifted = np.abs(expected.bootstrap_distribution - observed) >= abs(observed)
    assert found.p_value == pytest.approx(float(shifted.mean()), abs=0.04)


def test_the_bootstrap_of_equal_systems_finds_no_difference() -> None:
    gold, one, _ = sentences(20, seed=1, better=0.0)
    metrics = counted("accuracy", gold, one)
    found = bootstrap_metrics(metrics, metrics, resamples=100)
    assert (found.p_value, found.low, found.high) == (1.0, 0.0, 0.0)
    assert bootstrap_metrics([], []).p_value == 1.0


def test_the_difference_of_the_bootstrap_is_the_second_system_minus_the_first() -> None:
    gold, one, other = sentences(200, seed=1, better=0.5)
    found = bootstrap_metrics(counted("accuracy", gold, one), counted("accuracy", gold, other), resamples=200)
    assert found.low > 0 and found.p_value == pytest.approx(1 / 201)
    with pytest.raises(ValueError, match="expected the same ones"):
        bootstrap_metrics(counted("accuracy", gold, one), [])
