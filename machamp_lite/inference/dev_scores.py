"""The scores of a task on a file with gold labels, divided into folds: any decision is scored without the model."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from machamp_lite.config.task_types import TaskOptions, listed_metrics
from machamp_lite.data.vocabulary import UNKNOWN
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.base import LabelDecoder
from machamp_lite.errors import ConfigError, nearest
from machamp_lite.inference.engine import score_batches
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.base import annotated_items
from machamp_lite.model.multitask_model import Model

FOLDS = 5

Options = dict[str, Any]
Folds = Sequence[int]


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


def check_metric(options: TaskOptions, metric: str, *, task: str) -> None:
    """Raises ``ConfigError`` for a metric that a task does not have."""
    if metric not in options.metrics:
        raise ConfigError(
            f"--metric: found '{metric}', expected one of the metrics of '{task}': {listed_metrics(options.metrics)}"
            f"{nearest(metric, options.metrics)}"
        )


def dev_scores(
    model: Model, examples: Sequence[Example], *, task: str, metric: str | None = None
) -> DevScores | None:
    """The scores of annotated examples; the model is run once. None if there are fewer than ``FOLDS``.

    ``metric`` is by default the main metric of the task. Raises ``ConfigError`` for one that the task does not have.
    """
    decoder: Any = model.decoder(task)
    assert isinstance(decoder, LabelDecoder)
    metric = metric or decoder.config.metric
    check_metric(decoder.config, metric, task=task)
    sentences = _annotated_sentences(model, examples, task)
    return DevScores(decoder, sentences, metric=metric) if len(sentences) >= FOLDS else None


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
