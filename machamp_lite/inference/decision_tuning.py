"""Tunes the decisions of a task on a file with gold labels, and estimates by cross-validation what they gain.

The rules are

- for one label per item, ``tau`` of post-hoc logit adjustment (Menon et al. 2021), or an offset for the score of each
  label;
- for any number of labels per item, one threshold for all labels, or one threshold per label. A threshold of a label is
  the one with the highest F score of the label, which maximises the macro F score (Lipton et al. 2014).
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import listed_metrics
from machamp_lite.data.vocabulary import UNKNOWN
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.base import LabelDecoder
from machamp_lite.errors import ConfigError, nearest
from machamp_lite.inference.decisions import plain_options
from machamp_lite.inference.engine import score_batches
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.base import annotated_items
from machamp_lite.model.multitask_model import Model
from machamp_lite.weighting.class_weights import REST

# Of equal thresholds or offsets, the first one is chosen: the one nearest to the plain decision.
THRESHOLDS = tuple(sorted((number / 100 for number in range(5, 100, 5)), key=lambda value: abs(value - 0.5)))
TAUS = tuple(number / 10 for number in range(21))
OFFSETS = tuple(sorted((number / 4 for number in range(-12, 13)), key=abs))
# How often each label gets a new offset at most.
OFFSET_PASSES = 3
FOLDS = 5
# A label with fewer dev items has the threshold of all labels.
MIN_LABEL_ITEMS = 10

Options = dict[str, Any]
Folds = Sequence[int]


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


@dataclass(frozen=True, slots=True)
class DevSentence:
    """One annotated sentence. *Shape:* scores (N, C)."""

    gold: list[Any]
    words: Sequence[str]
    scores: Tensor


class DevScores:
    """The scores of a task for the annotated sentences of a file, and the metric of any options that decide.

    Sentence number n belongs to fold n modulo 5.
    """

    def __init__(self, decoder: LabelDecoder, sentences: Iterable[DevSentence], *, metric: str) -> None:
        self.decoder, self.metric = decoder, metric
        self.sentences = list(sentences)
        self.lengths = [len(sentence.scores) for sentence in self.sentences]
        self.scores = torch.cat([sentence.scores for sentence in self.sentences])
        # The fold of each item.
        self.folds = torch.tensor([n % FOLDS for n, length in enumerate(self.lengths) for _ in range(length)])
        self._metrics: dict[str, list[Metric[Any]]] = {}

    def metrics(self, options: Options) -> list[Metric[Any]]:
        """The metric on each fold, with these options."""
        key = json.dumps(options, sort_keys=True)
        if key not in self._metrics:
            self._metrics[key] = self._decide(options)
        return self._metrics[key]

    def _decide(self, options: Options) -> list[Metric[Any]]:
        decoder = self.decoder
        before, words = decoder.config, [sentence.words for sentence in self.sentences]
        try:
            decoder.config = before.model_copy(update=options)
            decoded = decoder.decode(self.scores, words)
        finally:
            decoder.config = before
        metrics = [METRICS[self.metric].for_task(before) for _ in range(FOLDS)]
        for number, (sentence, labels) in enumerate(zip(self.sentences, decoded, strict=True)):
            metric = metrics[number % FOLDS]
            if metric.compares_classes:
                gold, predicted = annotated_items(sentence.gold, labels)
                words_of_gold = annotated_items(sentence.gold, sentence.words)[1]
                metric.add(*decoder.label_pairs(gold, predicted, words_of_gold))
            else:
                metric.add(sentence.gold, labels)
        return metrics

    def value(self, options: Options, folds: Folds = range(FOLDS)) -> float:
        """The metric on some folds, with these options."""
        metrics = self.metrics(options)
        return self.merged_value([metrics[fold] for fold in folds])

    def merged_value(self, metrics: Sequence[Metric[Any]]) -> float:
        """The value of several metrics together."""
        merged = METRICS[self.metric].for_task(self.decoder.config)
        for metric in metrics:
            merged.merge(metric)
        return merged.value()

    def best(self, candidates: Sequence[Options], folds: Folds) -> Options:
        """The options with the highest value on some folds; of equal ones the first."""
        return max(candidates, key=lambda options: self.value(options, folds))

    def rule(self, name: str, choose: Callable[[Folds], Options]) -> Rule:
        """A rule whose options ``choose`` finds on some folds."""
        options = choose(range(FOLDS))
        others = [[other for other in range(FOLDS) if other != fold] for fold in range(FOLDS)]
        held_out = [self.metrics(choose(folds))[fold] for fold, folds in enumerate(others)]
        plain = self.value(plain_options(self.decoder.config))
        return Rule(name, options, plain, self.value(options), self.merged_value(held_out))


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


def dev_scores(
    model: Model, examples: Sequence[Example], *, task: str, metric: str | None = None
) -> DevScores | None:
    """The scores of annotated examples; the model is run once. None if there are fewer than ``FOLDS``.

    ``metric`` is by default the main metric of the task. Raises ``ConfigError`` for one that the task does not have.
    """
    decoder: Any = model.decoder(task)
    assert isinstance(decoder, LabelDecoder)
    metric = metric or decoder.config.metric
    if metric not in decoder.Options.metrics:
        raise ConfigError(
            f"--metric: found '{metric}', expected one of the metrics of '{task}': "
            f"{listed_metrics(decoder.Options.metrics)}"
        )
    sentences = _annotated_sentences(model, examples, task)
    return DevScores(decoder, sentences, metric=metric) if len(sentences) >= FOLDS else None


def tune_decision(data: DevScores, *, task: str) -> TunedDecision:
    """Tries the rules of a task."""
    decoder, metric = data.decoder, data.metric
    plain = plain_options(decoder.config)
    rules = [data.rule("plain", lambda folds: plain)]
    if decoder.labels_are_exclusive:
        taus = [{**plain, "tau": tau} for tau in TAUS]
        by_label = LabelOffsets(data)
        rules.append(data.rule("tau", lambda folds: data.best(taus, folds)))
        rules.append(data.rule("offset per label", lambda folds: {**plain, "offsets": by_label.choose(folds) or None}))
    else:
        one_for_all = [{"threshold": threshold} for threshold in THRESHOLDS]
        thresholds = LabelThresholds(data, beta=decoder.config.beta if metric.startswith("fbeta") else 1.0)

        def per_label(folds: Folds) -> Options:
            rest = data.best(one_for_all, folds)["threshold"]
            return {"threshold": {REST: rest, **thresholds.choose(folds)}}

        rules.append(data.rule("one threshold", lambda folds: data.best(one_for_all, folds)))
        rules.append(data.rule("threshold per label", per_label))
    return TunedDecision(task, metric, rules)


class GoldLabels:
    """The gold labels of all items as 0 and 1, and which are annotated. *Shape:* matrix (N, C), annotated (N,)."""

    def __init__(self, data: DevScores) -> None:
        self.folds = data.folds
        self.matrix = torch.zeros(data.scores.shape)
        self.annotated = torch.ones(len(self.matrix), dtype=torch.bool)
        for row, label in enumerate(label for sentence in data.sentences for label in sentence.gold):
            self.annotated[row] = label is not None
            if label is not None:
                ids = data.decoder.vocabulary.ids(data.decoder.classes([label], ()))
                self.matrix[row, [number for number in ids if number != UNKNOWN]] = 1

    def in_folds(self, folds: Folds) -> Tensor:
        """The annotated items of some folds. *Shape:* -> (N,)."""
        return self.annotated & torch.isin(self.folds, torch.tensor(list(folds)))


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


def _annotated_sentences(model: Model, examples: Sequence[Example], task: str) -> list[DevSentence]:
    """The annotated sentences of a task, in their order, with their scores."""
    annotated = [example for example in examples if task in example.labels]
    found: dict[int, DevSentence] = {}
    for indices, batch, scores in score_batches(model, annotated):
        items = batch.tasks[task]
        rows = scores[task].float().cpu().split(items.lengths.tolist())
        for sentence, own in zip(items.sentences, rows, strict=True):
            example = batch.examples[sentence]
            found[indices[sentence]] = DevSentence(example.labels[task], example.words, own)
    return [found[index] for index in sorted(found)]
