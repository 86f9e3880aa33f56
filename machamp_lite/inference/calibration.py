"""Fits the temperature of tasks, and measures how well their probabilities are calibrated.

Probabilities are calibrated if, of the items that get the probability 0.8, 80% are right (Guo et al. 2017).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from machamp_lite.config.task_types import TaskOptions
from machamp_lite.dataloading.batch import Batch, join_gold
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.base import Decoder
from machamp_lite.decoders.gold_likelihood import GoldItems, GoldLikelihood
from machamp_lite.inference.engine import score_batches
from machamp_lite.metrics.base import ratio
from machamp_lite.model.multitask_model import Model
from machamp_lite.nn.ragged import starts_of

BINS = 15
# With fewer items, no temperature is fitted.
MIN_ITEMS = 50
# Sentences per dataset, spread evenly over the dev file, from which a temperature is fitted.
MAX_SENTENCES = 10_000
# The same for CRFs and parsers.
MAX_STRUCTURES = 500
# Where all dev items are right, the best temperature is 0.
_LOWEST, _HIGHEST = 0.1, 10.0
# Enough for four digits.
_HALVINGS = 18


def has_temperature(options: TaskOptions) -> bool:
    """Whether a task has probabilities that can be calibrated."""
    return hasattr(options, "temperature")


@dataclass(frozen=True, slots=True)
class FittedTemperature:
    """The temperature of a task, with the calibration of the dev items before and after."""

    temperature: float
    before: dict[str, float]
    after: dict[str, float]

    def __str__(self) -> str:
        changes = (f"{name} {self.before[name]:.4f} -> {self.after[name]:.4f}" for name in self.before)
        return f"temperature {self.temperature:g} ({', '.join(changes)} on the dev data)"


class CalibrationScores:
    """The calibration of one task, from the probabilities of its gold items.

    ``ece`` is the expected calibration error: the mean, over items, of the difference between the mean confidence and
    the accuracy of the item's bin; there are 15 bins of equal width (Guo et al. 2017). The confidence is the
    probability of the most probable label. With any number of labels per item, every label is one decision: then it is
    the probability of the label, and the share of items that have it takes the place of accuracy.

    ``brier`` is the mean squared difference between probabilities and gold (Brier 1950): summed over the labels of an
    item, from 0 to 2, or of single decisions, from 0 to 1.
    """

    def __init__(self, *, exclusive: bool) -> None:
        self.exclusive = exclusive
        self._number = 0
        self._squares = 0.0
        # Per bin: the sum of confidences, the number of right decisions, and that of all.
        self._bins = torch.zeros(3, BINS, dtype=torch.float64)

    def add(self, probabilities: Tensor, targets: Tensor) -> None:
        """Adds items; targets are 1 for gold labels, 0 for others. *Shape:* (N, C), (N, C)."""
        probabilities, targets = probabilities.double().cpu(), targets.double().cpu()
        if self.exclusive:
            # An unknown gold label has the probability 0.
            unknown = len(targets) - float(targets.sum())
            confidences, labels = probabilities.max(-1)
            right = targets.gather(1, labels.unsqueeze(1)).squeeze(1)
        else:
            unknown = 0.0
            confidences, right = probabilities.flatten(), targets.flatten()
        self._number += len(right)
        self._squares += float((probabilities - targets).square().sum()) + unknown
        # Bins include their upper limit.
        bins = (confidences * BINS).ceil().long().clamp(1, BINS) - 1
        self._bins[0].index_add_(0, bins, confidences)
        self._bins[1].index_add_(0, bins, right)
        self._bins[2].index_add_(0, bins, torch.ones_like(right))

    def values(self) -> dict[str, float]:
        """The two scores; empty without items."""
        if not self._number:
            return {}
        confidence, right, _ = self._bins
        return {
            "ece": round(float((confidence - right).abs().sum()) / self._number, 4),
            "brier": round(ratio(self._squares, self._number), 4),
        }

    def bins(self) -> list[dict[str, float]]:
        """The mean confidence, the accuracy and the number of decisions of each bin, for a reliability diagram."""
        return [
            {
                "confidence": round(ratio(confidence, count), 4),
                "accuracy": round(ratio(right, count), 4),
                "count": int(count),
            }
            for confidence, right, count in self._bins.T.tolist()
        ]


class CalibrationTracker:
    """The calibration of all tasks of a dataset that have probabilities."""

    def __init__(self, tasks: Mapping[str, TaskOptions]) -> None:
        self._tasks = [task for task, options in tasks.items() if has_temperature(options)]
        self._scores: dict[str, CalibrationScores] = {}

    def add(self, model: Model, batch: Batch, scores: Mapping[str, Any]) -> None:
        """Adds the annotated items of a batch."""
        for task in self._tasks:
            likelihood = gold_likelihood(model, batch, task, scores[task]) if task in scores else None
            if likelihood is not None:
                kept = self._scores.setdefault(task, CalibrationScores(exclusive=likelihood.exclusive))
                kept.add(*likelihood.probabilities(model.decoder(task).config.temperature or 1.0))

    def values(self) -> dict[str, dict[str, Any]]:
        """The scores and bins of each task with gold labels."""
        return {
            task: {**values, "bins": scores.bins()}
            for task, scores in self._scores.items()
            if (values := scores.values())
        }


def gold_likelihood(
    model: Model, batch: Batch, task: str, scores: Any, *, every: int = 1
) -> GoldLikelihood | None:
    """What the scores say of the annotated sentences of a batch, or of ``every`` n-th of them; None without any."""
    items = batch.tasks[task]
    starts = starts_of(items.lengths).tolist()
    sentences = [
        (number, batch.examples[sentence])
        for number, sentence in enumerate(items.sentences)
        if task in batch.examples[sentence].gold
    ][::every]
    if not sentences:
        return None
    decoder = model.decoder(task)
    rows = [
        starts[number] + example.gold_items.get(task, np.arange(int(items.lengths[number])))
        for number, example in sentences
    ]
    ids = torch.from_numpy(join_gold([example.gold[task] for _, example in sentences]))
    gold = GoldItems(
        sentences=[number for number, _ in sentences],
        labels=[example.labels[task] for _, example in sentences],
        rows=torch.from_numpy(np.concatenate(rows)),
        ids=ids.to(model.device),
    )
    return decoder.gold_likelihood(scores, gold)


def fit_temperatures(
    model: Model, data: Mapping[str, Sequence[Example]], tasks: Sequence[str]
) -> dict[str, FittedTemperature]:
    """Fits the temperatures of tasks to the annotated items of several datasets; the model is run once.

    Tasks with fewer than ``MIN_ITEMS`` items are left out.
    """
    found: dict[str, list[GoldLikelihood]] = {task: [] for task in tasks}
    if not found:
        return {}
    for examples in data.values():
        step = -(-len(examples) // MAX_SENTENCES) or 1
        chosen = [examples[index] for index in range(0, len(examples), step)]
        chosen = [example for example in chosen if found.keys() & example.gold.keys()]
        every = {task: _step(model.decoder(task), len(chosen)) for task in tasks}
        for _, batch, scores in score_batches(model, chosen):
            for task in found.keys() & scores.keys():
                likelihood = gold_likelihood(model, batch, task, scores[task], every=every[task])
                found[task] += [] if likelihood is None else [likelihood]
    return {
        task: _fitted(parts) for task, parts in found.items() if sum(part.items for part in parts) >= MIN_ITEMS
    }


def _step(decoder: Decoder, sentences: int) -> int:
    """Sums over all label sequences or trees take time: of how many sentences of a batch one is used."""
    return 1 if decoder.items_are_independent else -(-sentences // MAX_STRUCTURES) or 1


def _fitted(parts: Sequence[GoldLikelihood]) -> FittedTemperature:
    temperature = round(fit_temperature(parts), 4)
    values = []
    for divisor in (1.0, temperature):
        kept = CalibrationScores(exclusive=parts[0].exclusive)
        for part in parts:
            kept.add(*part.probabilities(divisor))
        values.append({"NLL": negative_log_likelihood(parts, 1 / divisor), **kept.values()})
    return FittedTemperature(temperature, *values)


def fit_temperature(parts: Sequence[GoldLikelihood]) -> float:
    """The temperature, from 0.1 to 10, that minimises the negative log-likelihood (Guo et al. 2017).

    The likelihood is convex in the inverse of the temperature, so the root of its derivative is found by bisection.
    """
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if sum(part.loss(middle).slope for part in parts) > 0 else (middle, high)
    return float((low * high) ** -0.5)


def negative_log_likelihood(parts: Sequence[GoldLikelihood], inverse: float) -> float:
    """The mean over items with a known label, over words, or over the decisions of all items."""
    losses = [part.loss(inverse) for part in parts]
    return ratio(sum(loss.total for loss in losses), sum(loss.number for loss in losses))
