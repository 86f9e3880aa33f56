"""Chooses for single labels the decision with the highest recall at a given precision, or the reverse.

A label is predicted if a number is above a threshold. With any number of labels per item, it is the probability of the
label; with one label per item, it is how far the score of the label is above those of all others, and an offset of the
score moves it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from machamp_lite.errors import ConfigError, did_you_mean
from machamp_lite.inference.decision_tuning import MIN_LABEL_ITEMS, THRESHOLDS
from machamp_lite.inference.decisions import plain_options
from machamp_lite.inference.dev_scores import FOLDS, DevScores, Folds, GoldLabels
from machamp_lite.metrics.base import ratio
from machamp_lite.model.multitask_model import Model
from machamp_lite.weighting.class_weights import REST


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a label has to reach: a precision with as much recall as possible, or a recall with as much precision."""

    minimum: float
    of: Literal["precision", "recall"]

    def best(self, precision: Tensor, recall: Tensor) -> int:
        """The index of the best candidate, the first one of equals; the nearest to the target if none reaches it."""
        needed, other = (precision, recall) if self.of == "precision" else (recall, precision)
        return int(torch.where(needed >= self.minimum, other, needed - 1).argmax())


@dataclass(frozen=True, slots=True)
class TunedLabel:
    """The threshold or the offset of one label, with its precision and recall on the items of the tuning.

    ``held_out`` are precision and recall of items which were not used to tune the value that decided them.
    """

    label: str
    value: float
    tuned: tuple[float, float]
    held_out: tuple[float, float]


@dataclass(frozen=True, slots=True)
class TunedTarget:
    """The options of a task that reach a target, and each tuned label."""

    task: str
    options: dict[str, Any]
    labels: list[TunedLabel]
    # Labels with too few items, which decide as before.
    rare: list[str]


def target_labels(model: Model, task: str, label: str | None) -> list[str]:
    """The labels of a task to tune: the given one, or the positive label; all if items have any number of labels.

    Raises ``ConfigError`` if there is none.
    """
    options, labels = model.config.tasks()[task], model.vocabularies[task].labels
    exclusive = model.decoder(task).labels_are_exclusive
    chosen = label or (options.positive_label if exclusive else None)
    if chosen is None and exclusive:
        raise ConfigError(
            f"--label: found none, expected the label of '{task}' whose precision and recall are tuned, or "
            "positive_label of the task"
        )
    if chosen is not None and chosen not in labels:
        raise ConfigError(f"--label: unknown label '{chosen}' of '{task}'{did_you_mean(chosen, labels)}")
    return list(labels) if chosen is None else [chosen]


def tune_target(data: DevScores, *, task: str, labels: Sequence[str], target: Target) -> TunedTarget:
    """Tunes labels with at least ``MIN_LABEL_ITEMS`` annotated items, each independently of the others."""
    gold, exclusive = GoldLabels(data), data.decoder.labels_are_exclusive
    ids = dict(zip(data.decoder.vocabulary.labels, range(data.scores.shape[1]), strict=True))
    chosen = [label for label in labels if int(gold.matrix[gold.annotated, ids[label]].sum()) >= MIN_LABEL_ITEMS]
    tuned = [_tuned_label(data, gold, label, ids[label], target) for label in chosen]
    values = {one.label: one.value for one in tuned}
    if exclusive:
        options = {**plain_options(data.decoder.config), "offsets": values or None}
    else:
        options = {"threshold": {REST: 0.5, **values} if values else 0.5}
    return TunedTarget(task, options, tuned, [label for label in labels if label not in chosen])


def _tuned_label(data: DevScores, gold: GoldLabels, label: str, column: int, target: Target) -> TunedLabel:
    exclusive = data.decoder.labels_are_exclusive
    if exclusive:
        numbers = _margins(data.scores, column)
    else:
        numbers = data.decoder.log_probabilities(data.scores)[:, column].exp()

    def part(folds: Folds) -> tuple[Tensor, Tensor]:
        chosen = gold.in_folds(folds)
        return numbers[chosen], gold.matrix[chosen, column]

    def choose(folds: Folds) -> float:
        own, right = part(folds)
        candidates = _midpoints(own) if exclusive else torch.tensor(THRESHOLDS)
        return float(candidates[target.best(*_precision_and_recall(own, right, candidates))])

    everything = range(FOLDS)
    threshold = choose(everything)
    counts = torch.zeros(3, dtype=torch.float64)
    for fold in everything:
        limit = choose([other for other in everything if other != fold])
        counts += torch.stack(list(_counts(*part([fold]), torch.tensor([limit])))).squeeze(1)
    correct, predicted, in_gold = counts.tolist()
    own_precision, own_recall = _precision_and_recall(*part(everything), torch.tensor([threshold]))
    return TunedLabel(
        label,
        -threshold if exclusive else threshold,
        (float(own_precision), float(own_recall)),
        (ratio(correct, predicted), ratio(correct, in_gold)),
    )


def _margins(scores: Tensor, column: int) -> Tensor:
    """How far the score of a label is above the highest score of the others. *Shape:* (N, C) -> (N,)."""
    others = scores.clone()
    others[:, column] = -torch.inf
    return scores[:, column] - others.amax(1)


def _midpoints(numbers: Tensor) -> Tensor:
    """One threshold for each way to split numbers in two, those nearest to 0 first. *Shape:* (N,) -> (M,)."""
    values = numbers.unique()
    points = torch.cat([torch.zeros(1), (values[1:] + values[:-1]) / 2, values[:1] - 1, values[-1:] + 1])
    return points[points.abs().argsort(stable=True)]


def _counts(numbers: Tensor, right: Tensor, thresholds: Tensor) -> Iterator[Tensor]:
    """Correct and predicted items at each threshold, and gold items. *Shape:* (N,), (N,), (M,) -> (M,) each."""
    ascending, order = numbers.sort()
    above = len(numbers) - torch.searchsorted(ascending, thresholds.to(ascending), right=True)
    correct = torch.nn.functional.pad(right[order].flip(0).cumsum(0), (1, 0))
    yield correct[above].double()
    yield above.double()
    yield right.sum().double().expand(len(thresholds))


def _precision_and_recall(numbers: Tensor, right: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """At each threshold; 0 if nothing is predicted, or nothing is gold. *Shape:* (N,), (N,), (M,) -> (M,), (M,)."""
    correct, predicted, gold = _counts(numbers, right, thresholds)
    return correct / predicted.clamp_min(1), correct / gold.clamp_min(1)
