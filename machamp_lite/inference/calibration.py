"""Fits the temperature of tasks, and measures how well their probabilities are calibrated.

Probabilities are calibrated if, of the items that get the probability 0.8, 80% are right (Guo et al. 2017).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from machamp_lite.config.task_types import TaskOptions
from machamp_lite.dataloading.batch import Batch, join_gold
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.base import Decoder, LabelDecoder
from machamp_lite.inference.engine import score_batches
from machamp_lite.metrics.base import ratio
from machamp_lite.model.multitask_model import Model

BINS = 15
# With fewer items, no temperature is fitted.
MIN_ITEMS = 50
# Sentences per dataset, spread evenly over the dev file, from which a temperature is fitted.
MAX_SENTENCES = 10_000
# Where all dev items are right, the best temperature is 0.
_LOWEST, _HIGHEST = 0.1, 10.0
_HALVINGS = 40


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
        # Per bin: the sum of confidences, and the number of right decisions.
        self._bins = torch.zeros(2, BINS, dtype=torch.float64)

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

    def values(self) -> dict[str, float]:
        """The two scores; empty without items."""
        if not self._number:
            return {}
        confidence, right = self._bins
        return {
            "ece": round(float((confidence - right).abs().sum()) / self._number, 4),
            "brier": round(ratio(self._squares, self._number), 4),
        }


class CalibrationTracker:
    """The calibration of all tasks of a dataset that have probabilities."""

    def __init__(self, tasks: Mapping[str, TaskOptions]) -> None:
        self._tasks = [task for task, options in tasks.items() if has_temperature(options)]
        self._scores: dict[str, CalibrationScores] = {}

    def add(self, model: Model, batch: Batch, scores: Mapping[str, Any]) -> None:
        """Adds the annotated items of a batch."""
        for task in self._tasks:
            if task in scores:
                decoder = label_decoder(model, task)
                kept = self._scores.setdefault(task, CalibrationScores(exclusive=decoder.labels_are_exclusive))
                for own, targets in annotated_scores(decoder, batch, task, scores[task]):
                    kept.add(decoder.log_probabilities(own).exp(), targets)

    def values(self) -> dict[str, dict[str, float]]:
        """The scores of each task with gold labels."""
        return {task: values for task, scores in self._scores.items() if (values := scores.values())}


def label_decoder(model: Model, task: str) -> LabelDecoder:
    """The decoder of a task with a temperature."""
    decoder: Decoder = model.decoder(task)
    assert isinstance(decoder, LabelDecoder)
    return decoder


def annotated_scores(
    decoder: LabelDecoder, batch: Batch, task: str, scores: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the scores and targets of the annotated items of a batch, if there are any. *Shape:* (N, C), (N, C)."""
    items = batch.tasks[task]
    found, gold = [], []
    for sentence, rows in zip(items.sentences, scores.split(items.lengths.tolist()), strict=True):
        example = batch.examples[sentence]
        if task in example.gold:
            annotated = example.gold_items.get(task)
            found.append(rows if annotated is None else rows[torch.from_numpy(annotated).to(rows.device)])
            gold.append(example.gold[task])
    if found:
        joined = torch.cat(found)
        yield joined, decoder.targets(joined, torch.from_numpy(join_gold(gold)).to(joined.device))


def fit_temperatures(
    model: Model, data: Mapping[str, Sequence[Example]], tasks: Sequence[str]
) -> dict[str, FittedTemperature]:
    """Fits the temperatures of tasks to the annotated items of several datasets; the model is run once.

    Tasks with fewer than ``MIN_ITEMS`` items are left out.
    """
    found: dict[str, list[tuple[Tensor, Tensor]]] = {task: [] for task in tasks}
    if not found:
        return {}
    for examples in data.values():
        step = -(-len(examples) // MAX_SENTENCES) or 1
        chosen = [examples[index] for index in range(0, len(examples), step)]
        chosen = [example for example in chosen if found.keys() & example.gold.keys()]
        for _, batch, scores in score_batches(model, chosen):
            for task in found.keys() & scores.keys():
                pairs = annotated_scores(label_decoder(model, task), batch, task, scores[task])
                found[task] += [(own.float().cpu(), targets.cpu()) for own, targets in pairs]
    fitted = {}
    for task, parts in found.items():
        exclusive = label_decoder(model, task).labels_are_exclusive
        if sum(len(own) for own, _ in parts) >= MIN_ITEMS:
            all_scores, all_targets = (torch.cat(part) for part in zip(*parts, strict=True))
            fitted[task] = _fitted(all_scores, all_targets, exclusive=exclusive)
    return fitted


def _fitted(scores: Tensor, targets: Tensor, *, exclusive: bool) -> FittedTemperature:
    temperature = round(fit_temperature(scores, targets, exclusive=exclusive), 4)
    values = []
    for divisor in (1.0, temperature):
        scaled = scores / divisor
        kept = CalibrationScores(exclusive=exclusive)
        kept.add(scaled.softmax(-1) if exclusive else scaled.sigmoid(), targets)
        loss = negative_log_likelihood(scaled, targets, exclusive=exclusive)
        values.append({"NLL": float(loss), **kept.values()})
    return FittedTemperature(temperature, *values)


def fit_temperature(scores: Tensor, targets: Tensor, *, exclusive: bool) -> float:
    """The temperature, from 0.1 to 10, that minimises the negative log-likelihood (Guo et al. 2017).

    The likelihood is convex in the inverse of the temperature, so the root of its derivative is found by bisection.
    Items whose gold label is unknown are left out. *Shape:* (N, C), (N, C).
    """
    if exclusive:
        is_known = targets.sum(-1) > 0
        scores, targets = scores[is_known], targets[is_known]
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        scaled = middle * scores
        probabilities = scaled.softmax(-1) if exclusive else scaled.sigmoid()
        slope = ((probabilities - targets) * scores).sum(dtype=torch.float64)
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float((low * high) ** -0.5)


def negative_log_likelihood(scores: Tensor, targets: Tensor, *, exclusive: bool) -> Tensor:
    """The mean over items with a known label, or over the decisions of all items. *Shape:* (N, C), (N, C) -> ()."""
    if exclusive:
        return -(scores.log_softmax(-1) * targets).sum() / targets.sum().clamp_min(1)
    return torch.nn.functional.binary_cross_entropy_with_logits(scores, targets)
