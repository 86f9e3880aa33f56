"""Tunes the decisions of a task on a file with gold labels, and estimates by cross-validation what they gain.

The rules are

- for one label per item, ``tau`` of post-hoc logit adjustment (Menon et al. 2021), or an offset for the score of each
  label;
- for any number of labels per item, one threshold for all labels, or one threshold per label. A threshold of a label is
  the one with the highest F score of the label, which maximises the macro F score (Lipton et al. 2014).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.errors import ConfigError, nearest
from machamp_lite.inference.decisions import plain_options
from machamp_lite.inference.dev_scores import FOLDS, DevScores, Folds, GoldLabels, Options
from machamp_lite.weighting.class_weights import REST

# Of equal thresholds or offsets, the first one is chosen: the one nearest to the plain decision.
THRESHOLDS = tuple(sorted((number / 100 for number in range(5, 100, 5)), key=lambda value: abs(value - 0.5)))
TAUS = tuple(number / 10 for number in range(21))
OFFSETS = tuple(sorted((number / 4 for number in range(-12, 13)), key=abs))
# How often each label gets a new offset at most.
OFFSET_PASSES = 3
# A label with fewer dev items has the threshold of all labels.
MIN_LABEL_ITEMS = 10


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to decide: the options of the task, tuned on all dev items.

    ``plain`` is the value of the metric with the plain rule, ``tuned`` that of this rule on the items of the tuning,
    and ``cross_validated`` that of items which were not used to tune the options that decided them.
    """

    name: str
    options: Options
    plain: float
    tuned: float
    cross_validated: float

    @property
    def overfits(self) -> bool:
        """Whether less than half of the gain is left on items that were not used for tuning."""
        gain = self.tuned - self.plain
        return gain > 0 and self.cross_validated - self.plain < gain / 2


@dataclass(frozen=True, slots=True)
class TunedDecision:
    """The rules of a task, the plain one first."""

    task: str
    metric: str
    rules: list[Rule]

    @property
    def best(self) -> Rule:
        """The rule with the highest cross-validated value; of equal ones the first."""
        return max(self.rules, key=lambda rule: rule.cross_validated)


def tunable_tasks(config: DatasetConfig, dataset: str, task: str | None) -> list[str]:
    """The tasks of a dataset that can be tuned, or the one with this name; raises ``ConfigError`` if there is none."""
    known = [
        name
        for name, options in config.active().tasks.items()
        if type(options).model_fields.keys() & {"threshold", "tau"}
    ]
    if not known:
        types = "seq, classification, multiseq or multiclas"
        raise ConfigError(f"--dataset: found no task of type {types} in {dataset}, expected one")
    if task is not None and task not in known:
        raise ConfigError(
            f"--task: found '{task}', expected one of the tasks of {dataset} whose decisions can be tuned: "
            f"{', '.join(known)}{nearest(task, known)}"
        )
    return known if task is None else [task]


def tune_decision(data: DevScores, *, task: str) -> TunedDecision:
    """Tries the rules of a task."""
    decoder, metric = data.decoder, data.metric
    plain = plain_options(decoder.config)
    rules = [make_rule(data, "plain", lambda folds: plain)]
    if decoder.labels_are_exclusive:
        taus = [{**plain, "tau": tau} for tau in TAUS]
        by_label = LabelOffsets(data)
        rules.append(make_rule(data, "tau", lambda folds: data.best(taus, folds)))
        rules.append(
            make_rule(data, "offset per label", lambda folds: {**plain, "offsets": by_label.choose(folds) or None})
        )
    else:
        one_for_all = [{"threshold": threshold} for threshold in THRESHOLDS]
        thresholds = LabelThresholds(data, beta=decoder.config.beta if metric.startswith("fbeta") else 1.0)

        def per_label(folds: Folds) -> Options:
            rest = data.best(one_for_all, folds)["threshold"]
            return {"threshold": {REST: rest, **thresholds.choose(folds)}}

        rules.append(make_rule(data, "one threshold", lambda folds: data.best(one_for_all, folds)))
        rules.append(make_rule(data, "threshold per label", per_label))
    return TunedDecision(task, metric, rules)


def make_rule(data: DevScores, name: str, choose: Callable[[Folds], Options]) -> Rule:
    """A rule whose options ``choose`` finds on some folds."""
    options = choose(range(FOLDS))
    others = [[other for other in range(FOLDS) if other != fold] for fold in range(FOLDS)]
    held_out = [data.metrics(choose(folds))[fold] for fold, folds in enumerate(others)]
    plain = data.value(plain_options(data.decoder.config))
    return Rule(name, options, plain, data.value(options), data.merged_value(held_out))


class LabelOffsets:
    """Finds an offset for the score of each label, by coordinate ascent on the macro F1 or the accuracy.

    Labels with few items, and those whose offset gains nothing, have none.
    """

    def __init__(self, data: DevScores) -> None:
        self.labels, self.scores, self.gold = data.decoder.vocabulary.labels, data.scores, GoldLabels(data)
        self.by_accuracy = data.metric == "accuracy" or data.metric.endswith("_micro")

    def choose(self, folds: Folds) -> dict[str, float]:
        """The offsets of some folds that are not 0."""
        chosen = self.gold.in_folds(folds)
        scores, gold = self.scores[chosen].clone(), self.gold.matrix[chosen]
        offsets = torch.zeros(scores.shape[1])
        labels = (gold.sum(0) >= MIN_LABEL_ITEMS).nonzero().flatten().tolist()
        best = self._value(scores.argmax(1), gold)
        for _ in range(OFFSET_PASSES):
            before = best
            for label in labels:
                others = (scores + offsets).index_fill(1, torch.tensor([label]), -torch.inf)
                other, other_ids = others.max(1)
                for offset in OFFSETS:
                    value = self._value(torch.where(scores[:, label] + offset > other, label, other_ids), gold)
                    if value > best + 1e-9:
                        best, offsets[label] = value, offset
            if best == before:
                break
        return {self.labels[label]: float(offsets[label]) for label in labels if offsets[label]}

    def _value(self, predicted: Tensor, gold: Tensor) -> float:
        """The accuracy, or the mean F1 of labels that are gold or predicted. *Shape:* (N,), (N, C) -> ()."""
        correct = torch.zeros(gold.shape[1]).index_add_(0, predicted, gold.gather(1, predicted.unsqueeze(1)).squeeze(1))
        if self.by_accuracy:
            return float(correct.sum())
        total = gold.sum(0) + torch.bincount(predicted, minlength=gold.shape[1])
        return float((2 * correct / total.clamp_min(1)).sum() / (total > 0).sum().clamp_min(1))


class LabelThresholds:
    """The counts of each label at each threshold, from which the best threshold of each label is chosen."""

    def __init__(self, data: DevScores, *, beta: float) -> None:
        self.labels, self.beta = data.decoder.vocabulary.labels, beta
        gold = GoldLabels(data)
        probabilities = data.decoder.log_probabilities(data.scores).exp()
        # Per fold. Shape: (folds, C) and (folds, thresholds, C).
        self.gold, self.predicted, self.correct = [], [], []
        for fold in range(FOLDS):
            chosen = gold.in_folds([fold])
            above = [(probabilities[chosen] > threshold).float() for threshold in THRESHOLDS]
            self.gold.append(gold.matrix[chosen].sum(0))
            self.predicted.append(torch.stack([own.sum(0) for own in above]))
            self.correct.append(torch.stack([(own * gold.matrix[chosen]).sum(0) for own in above]))

    def choose(self, folds: Folds) -> dict[str, float]:
        """The best threshold of each label with enough items; of equal ones the one nearest to 0.5."""
        gold, predicted, correct = (
            sum((own[fold] for fold in folds), torch.zeros(())) for own in (self.gold, self.predicted, self.correct)
        )
        square = self.beta**2
        values = (1 + square) * correct / (square * gold + predicted).clamp_min(1)
        best = values.max(0).indices.tolist()
        return {
            label: THRESHOLDS[best[index]]
            for index, label in enumerate(self.labels)
            if gold[index] >= MIN_LABEL_ITEMS
        }
