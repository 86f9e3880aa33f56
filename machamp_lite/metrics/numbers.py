"""Metrics over numbers and distributions."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from machamp_lite.metrics.base import Metric, ratio

Distribution = tuple[float, ...]

# Smaller predicted probabilities count as this, so that a 0 does not make a divergence infinite.
MIN_PROBABILITY = 1e-6
# The exponential of larger numbers overflows, and scores files must contain finite numbers.
MAX_EXPONENT = 700.0


class _Mean(Metric[Any]):
    """A mean of numbers, from the count of each distinct number; the exact sum does not depend on the order."""

    higher_is_better = False

    def value(self) -> float:
        return ratio(math.fsum(number * count for number, count in self.counts.items()), self.counts.total())


class MeanDistance(_Mean):
    """The mean absolute difference of numbers, or total variation distance of distributions, as in MaChAmp.

    The total variation distance is half the sum of the differences, from 0 to 1: Baan et al. 2022,
    https://aclanthology.org/2022.emnlp-main.124.

    >>> metric = MeanDistance()
    >>> metric.add([(0.5, 0.25, 0.25), (1.0, 0.0, 0.0)], [(0.25, 0.25, 0.5), (0.0, 0.0, 1.0)])
    >>> metric.value()
    0.625
    """

    name = "avg_dist"

    def _count(self, gold: Sequence[Any], predicted: Sequence[Any]) -> Iterable[float]:
        return [_distance(*pair) for pair in zip(gold, predicted, strict=True)]


class MeanAbsoluteError(_Mean):
    """The mean absolute difference of numbers, or of the single probabilities of distributions.

    >>> metric = MeanAbsoluteError()
    >>> metric.add([1.0, (0.5, 0.5)], [2.0, (0.25, 0.75)])
    >>> metric.value()
    0.5
    """

    name = "mae"

    def _count(
        self, gold: Sequence[float | Distribution], predicted: Sequence[float | Distribution]
    ) -> Iterable[float]:
        pairs = zip(_flat(gold), _flat(predicted), strict=True)
        return [abs(expected - found) for expected, found in pairs]


class Divergence(_Mean):
    """The mean Kullback-Leibler divergence of predicted from gold distributions, in nats.

    A gold probability of 0 adds nothing; a predicted one counts as at least 1e-6. Rounding errors below 0 become 0.

    >>> metric = Divergence()
    >>> metric.add([(0.5, 0.5), (1.0, 0.0)], [(0.5, 0.5), (0.5, 0.5)])
    >>> round(metric.value(), 3)
    0.347
    """

    name = "kl"

    def value(self) -> float:
        # In this order, NaN stays NaN.
        return max(super().value(), 0.0)

    def _count(self, gold: Sequence[Distribution], predicted: Sequence[Distribution]) -> Iterable[float]:
        return [_divergence(*pair) for pair in zip(gold, predicted, strict=True)]


class Perplexity(_Mean):
    """The exponential of the mean negative log-probability; predictions are the log-probabilities of the gold items.

    >>> metric = Perplexity()
    >>> metric.add(["the", "cat"], [math.log(0.5), math.log(0.125)])
    >>> round(metric.value(), 3)
    4.0
    """

    name = "perplexity"

    def value(self) -> float:
        return math.exp(min(-super().value(), MAX_EXPONENT)) if self.counts else 0.0

    @classmethod
    def selection_score(cls, value: float) -> float:
        """The geometric mean of the probabilities; 1 if there are no items."""
        return 1 / max(value, 1.0)

    def _count(self, gold: Sequence[Any], predicted: Sequence[float]) -> Iterable[float]:
        return predicted


class Pearson(Metric[float]):
    """The linear correlation of gold and predicted numbers, from -1 to 1; 0 if all gold or all predicted are equal.

    >>> metric = Pearson()
    >>> metric.add([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    >>> round(metric.value(), 3)
    0.5
    """

    name = "pearson"

    def value(self) -> float:
        # Sorted, so that the sums of floats do not depend on the order.
        pairs = sorted(self.counts)
        gold, predicted = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return self._correlation(gold, predicted, np.array([self.counts[pair] for pair in pairs]))

    def _count(self, gold: Sequence[float], predicted: Sequence[float]) -> Iterable[tuple[float, float]]:
        return zip(gold, predicted, strict=True)

    def _correlation(self, gold: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> float:
        """*Shape:* (P,) each, for P distinct pairs."""
        return _pearson(gold, predicted, counts)


class Spearman(Pearson):
    """The correlation of the ranks of gold and predicted numbers, from -1 to 1; equal numbers share their mean rank.

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


def _distance(gold: float | Distribution, predicted: float | Distribution) -> float:
    differences = [abs(expected - found) for expected, found in zip(_flat([gold]), _flat([predicted]), strict=True)]
    return math.fsum(differences) / (2 if isinstance(gold, tuple) else 1)


def _divergence(gold: Distribution, predicted: Distribution) -> float:
    return math.fsum(
        expected * math.log(expected / max(found, MIN_PROBABILITY))
        for expected, found in zip(gold, predicted, strict=True)
        if expected > 0
    )


def _pearson(gold: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> float:
    """The correlation of distinct pairs with their counts. *Shape:* (P,) each."""
    # Not by comparing with the mean, which may differ from equal floats.
    if len(gold) == 0 or np.ptp(gold) == 0 or np.ptp(predicted) == 0:
        return 0.0
    gold, predicted = _standardised(gold, counts), _standardised(predicted, counts)
    return float(np.clip(np.sum(counts * gold * predicted), -1.0, 1.0))


def _standardised(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The values, shifted and scaled to a mean of 0 and a sum of squares of 1."""
    centred = values - np.average(values, weights=counts)
    # Squares of very large or very small numbers would overflow or underflow.
    centred = centred / np.abs(centred).max()
    return centred / np.sqrt(np.sum(counts * centred**2))


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean rank, from 1, of values with these counts. *Shape:* (P,), (P,) -> (P,)."""
    _, indices = np.unique(values, return_inverse=True)
    ties = np.bincount(indices, weights=counts)
    return (np.cumsum(ties) - (ties - 1) / 2)[indices]
