"""Paired tests: whether two systems differ by more than chance, on the same sentences or the same seeds.

Each resample of a permutation test exchanges the results of the two systems in a random half of the pairs (Noreen 1989;
Yeh 2000, for scores such as F1 that are no means over sentences). Each resample of a bootstrap draws pairs with
replacement (Koehn 2004). Dror et al. 2018 compare such tests: https://aclanthology.org/P18-1128.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from machamp_lite.metrics.base import Metric

RESAMPLES = 1000
# The highest p-value of a difference that counts as more than chance.
SIGNIFICANCE = 0.05
# The exchanges that are computed together.
_CHUNK = 512
# Differences that are equal but for rounding count as equal, as in scipy.
_RELATIVE_TOLERANCE = 1e-14


def compare_metrics(
    first: Sequence[Metric[Any]], second: Sequence[Metric[Any]], *, resamples: int = RESAMPLES, seed: int = 0
) -> float:
    """The two-sided p-value of the difference of a metric between two systems.

    Each list has one object of the metric per sentence, with its counts; both have the same sentences in the same
    order. All exchanges are enumerated if there are at most ``resamples`` of them. Raises ``ValueError`` if the lists
    differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"found {len(first)} and {len(second)} sentences, expected the same ones")
    if not first:
        return 1.0
    # Sentences with equal counts change no resample.
    pairs = [(one.counts, other.counts) for one, other in zip(first, second, strict=True) if one.counts != other.counts]
    numbers: dict[Any, int] = {}
    moves = [
        (pair, numbers.setdefault(key, len(numbers)), other[key] - one[key])
        for pair, (one, other) in enumerate(pairs)
        for key in {**one, **other}
    ]
    of_pair, of_key, moved = np.array(moves, dtype=np.int64).reshape(-1, 3).T
    totals = [total_counts(metrics) for metrics in (first, second)]
    sums = [np.array([total[key] for key in numbers]) for total in totals]
    rest = {key: count for key, count in totals[0].items() if key not in numbers}
    metric = copy(first[0])

    def value(counts: np.ndarray) -> float:
        # Without counts of 0, as if these keys had never been added.
        metric.counts = Counter(rest | {key: int(count) for key, count in zip(numbers, counts, strict=True) if count})
        return metric.value()

    def difference(exchanged: np.ndarray) -> float:
        shift = np.bincount(of_key, weights=moved * exchanged[of_pair], minlength=len(numbers))
        return value(sums[0] + shift) - value(sums[1] - shift)

    def differences(exchanged: np.ndarray) -> np.ndarray:
        return np.array(list(map(difference, exchanged)))

    return _p_value(differences, len(pairs), resamples=resamples, seed=seed)


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The two-sided p-value of a difference, and its confidence interval of 95%."""

    p_value: float
    low: float
    high: float


def bootstrap_metrics(
    first: Sequence[Metric[Any]], second: Sequence[Metric[Any]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Bootstrap:
    """The paired bootstrap of the difference of a metric between two systems: the second one minus the first.

    The p-value is the share of resamples that are at least as far from the observed difference as that is from 0
    (Berg-Kirkpatrick et al. 2012), and the interval has the 2.5th to the 97.5th percentile. Arguments are those of
    ``compare_metrics``.
    """
    if len(first) != len(second):
        raise ValueError(f"found {len(first)} and {len(second)} sentences, expected the same ones")
    if not first:
        return Bootstrap(1.0, 0.0, 0.0)
    systems = [_Resampled(metrics) for metrics in (first, second)]

    def difference(weights: np.ndarray) -> float:
        one, other = (system.value(weights) for system in systems)
        return other - one

    random, number = np.random.default_rng(seed), len(first)
    observed = difference(np.ones(number))
    drawn = (np.bincount(random.integers(number, size=number), minlength=number) for _ in range(resamples))
    found = np.array(list(map(difference, drawn)))
    extreme = np.abs(found - observed) >= abs(observed) - _RELATIVE_TOLERANCE
    low, high = np.percentile(found, [2.5, 97.5])
    return Bootstrap((int(extreme.sum()) + 1) / (resamples + 1), float(low), float(high))


class _Resampled:
    """A metric whose sentences count more than once, or not at all."""

    def __init__(self, metrics: Sequence[Metric[Any]]) -> None:
        self.metric, self.numbers = copy(metrics[0]), dict[Any, int]()
        rows = [
            (sentence, self.numbers.setdefault(key, len(self.numbers)), count)
            for sentence, metric in enumerate(metrics)
            for key, count in metric.counts.items()
        ]
        self.sentences, self.keys, self.counts = np.array(rows, dtype=np.int64).reshape(-1, 3).T

    def value(self, weights: np.ndarray) -> float:
        """The metric, if each sentence counts as often as its weight says. *Shape:* (sentences,)."""
        totals = np.bincount(self.keys, weights=self.counts * weights[self.sentences], minlength=len(self.numbers))
        self.metric.counts = Counter({key: int(n) for key, n in zip(self.numbers, totals, strict=True) if n})
        return self.metric.value()


def compare_means(
    first: Sequence[float], second: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> float:
    """The two-sided p-value of the difference of two means of paired numbers, such as the scores of the same seeds.

    With n pairs it is at least 2 / 2^n. Raises ``ValueError`` if the lists differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"found {len(first)} and {len(second)} numbers, expected pairs")
    pairs = np.subtract(first, second, dtype=np.float64)
    return _p_value(lambda exchanged: (pairs * (1 - 2 * exchanged)).sum(1), len(pairs), resamples=resamples, seed=seed)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values of several tests, corrected for their number (Holm 1979).

    >>> {name: round(p, 3) for name, p in holm({"a": 0.01, "b": 0.04, "c": 0.03}).items()}
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    corrected, largest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def bonferroni(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values of several tests, times their number.

    >>> bonferroni({"a": 0.25, "b": 0.75})
    {'a': 0.5, 'b': 1.0}
    """
    return {name: min(1.0, len(p_values) * p) for name, p in p_values.items()}


def total_counts(metrics: Sequence[Metric[Any]]) -> Counter[Any]:
    """The sum of the counts of sentences."""
    total: Counter[Any] = Counter()
    for metric in metrics:
        total.update(metric.counts)
    return total


def _p_value(
    differences: Callable[[np.ndarray], np.ndarray], pairs: int, *, resamples: int, seed: int
) -> float:
    """The share of exchanges with at least the observed absolute difference.

    ``differences`` computes the difference of the systems under some exchanges. *Shape:* (R, pairs) of 0 and 1 -> (R,).
    """
    observed = abs(differences(np.zeros((1, pairs)))[0])
    least = observed - _RELATIVE_TOLERANCE * max(1.0, observed)
    is_exact = pairs < resamples.bit_length() and 2**pairs <= resamples
    found = number = 0
    for exchanged in _all_exchanges(pairs) if is_exact else _random_exchanges(pairs, resamples, seed):
        found += int((np.abs(differences(exchanged)) >= least).sum())
        number += len(exchanged)
    # The observed data counts as one of the random exchanges, so that p is never 0 (Phipson and Smyth 2010).
    return found / number if is_exact else (found + 1) / (number + 1)


def _all_exchanges(pairs: int) -> Iterator[np.ndarray]:
    numbers = np.arange(2**pairs)
    for start in range(0, len(numbers), _CHUNK):
        yield (numbers[start : start + _CHUNK, None] >> np.arange(pairs) & 1).astype(np.float64)


def _random_exchanges(pairs: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        yield random.integers(0, 2, (size, pairs), dtype=np.int8).astype(np.float64)
