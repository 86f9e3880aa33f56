"""Metrics over numbers and distributions."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from machamp_lite.metrics.base import Metric, ratio

Distribution = tuple[float, ...]

# Predicted probabilities count as no less, for a 0 not to make a divergence infinite.
SMALLEST_PROBABILITY = 1e-6
# The exponential of more is no float, and files of scores hold finite numbers.
LARGEST_EXPONENT = 700.0


class _Mean(Metric[Any]):
    """A mean of numbers, from how often each of them occurs: their exact sum is the same in any order."""

    higher_is_better = False

    def value(self) -> float:
        return ratio(math.fsum(number * count for number, count in self.counts.items()), self.counts.total())


class MeanDistance(_Mean):
    """The mean absolute difference of numbers, of all those in items that are tuples of them.

    >>> metric = MeanDistance()
    >>> metric.add([1.0, (0.5, 0.25)], [2.0, (0.25, 0.5)])
    >>> metric.value()
    0.5
    """

    name = "avg_dist"

    def _count(
        self, gold: Sequence[float | Distribution], predicted: Sequence[float | Distribution]
    ) -> Iterable[float]:
        pairs = zip(_flat(gold), _flat(predicted), strict=True)
        return [abs(expected - found) for expected, found in pairs]


class Divergence(_Mean):
    """The mean Kullback-Leibler divergence of predicted from gold distributions, in nats.

    A gold probability of 0 adds nothing; a predicted one counts as 1e-6 at least. It is never negative: what rounding
    puts below 0 is 0.

    >>> metric = Divergence()
    >>> metric.add([(0.5, 0.5), (1.0, 0.0)], [(0.5, 0.5), (0.5, 0.5)])
    >>> round(metric.value(), 3)
    0.347
    """

    name = "kl"

    def value(self) -> float:
        # In this order, for no number (nan) to stay one.
        return max(super().value(), 0.0)

    def _count(self, gold: Sequence[Distribution], predicted: Sequence[Distribution]) -> Iterable[float]:
        return [_divergence(*pair) for pair in zip(gold, predicted, strict=True)]


class Perplexity(_Mean):
    """The exponential of the mean negative log-probability: predicted are the natural logarithms of gold items' own.

    >>> metric = Perplexity()
    >>> metric.add(["the", "cat"], [math.log(0.5), math.log(0.125)])
    >>> round(metric.value(), 3)
    4.0
    """

    name = "perplexity"

    def value(self) -> float:
        return math.exp(min(-super().value(), LARGEST_EXPONENT)) if self.counts else 0.0

    @classmethod
    def selection_score(cls, value: float) -> float:
        """The geometric mean of the probabilities; 1 where nothing was added."""
        return 1 / max(value, 1.0)

    def _count(self, gold: Sequence[Any], predicted: Sequence[float]) -> Iterable[float]:
        return predicted


class Pearson(Metric[float]):
    """The linear correlation of gold and predicted numbers, from -1 to 1; 0 where either are all the same.

    >>> metric = Pearson()
    >>> metric.add([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    >>> round(metric.value(), 3)
    0.5
    """

    name = "pearson"

    def value(self) -> float:
        # Sorted, for sums of floats that are the same in every order of adding.
        pairs = sorted(self.counts)
        gold, predicted = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return self._correlation(gold, predicted, np.array([self.counts[pair] for pair in pairs]))

    def _count(self, gold: Sequence[float], predicted: Sequence[float]) -> Iterable[tuple[float, float]]:
        return zip(gold, predicted, strict=True)

    def _correlation(self, gold: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> float:
        """*Shape:* three times (P,), for P different pairs."""
        return _pearson(gold, predicted, counts)


class Spearman(Pearson):
    """The correlation of the ranks of gold and predicted numbers, from -1 to 1; the same numbers share a mean rank.

    >>> metric = Spearman()
    >>> metric.add([1.0, 2.0, 3.0], [1.0, 100.0, 10.0])
    >>> round(metric.value(), 3)
    0.5
    """

    name = "spearman"

    def _correlation(self, gold: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> float:
        return _pearson(_ranks(gold, counts), _ranks(predicted, counts), counts)


def _flat(items: Iterable[float | Distribution]) -> Iterable[float]:
    for item in items:
        if isinstance(item, tuple):
            yield from item
        else:
            yield item


def _divergence(gold: Distribution, predicted: Distribution) -> float:
    return math.fsum(
        expected * math.log(expected / max(found, SMALLEST_PROBABILITY))
        for expected, found in zip(gold, predicted, strict=True)
        if expected > 0
    )


def _pearson(gold: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> float:
    """The correlation of pairs that each occur so many times. *Shape:* three times (P,)."""
    # Compared themselves: the mean of equal floats may not equal them.
    if len(gold) == 0 or np.ptp(gold) == 0 or np.ptp(predicted) == 0:
        return 0.0
    gold, predicted = _standardised(gold, counts), _standardised(predicted, counts)
    return float(np.clip(np.sum(counts * gold * predicted), -1.0, 1.0))


def _standardised(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Values about a mean of 0, the sum of whose squares is 1."""
    centred = values - np.average(values, weights=counts)
    # Squares of very large and very small numbers are no floats.
    centred = centred / np.abs(centred).max()
    return centred / np.sqrt(np.sum(counts * centred**2))


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean rank, from 1, of values that each occur so many times. *Shape:* (P,), (P,) -> (P,)."""
    _, places = np.unique(values, return_inverse=True)
    ties = np.bincount(places, weights=counts)
    return (np.cumsum(ties) - (ties - 1) / 2)[places]
