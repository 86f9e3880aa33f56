"""Predicted labels of instances, and their scores against gold."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from machamp_lite.batching.batch import Batch
from machamp_lite.batching.instances import Instance
from machamp_lite.batching.sampler import cut
from machamp_lite.config.schema import BatchingParams, decoder_class
from machamp_lite.data.records import EMPTY
from machamp_lite.decoders import TaskConfig
from machamp_lite.label_scores import LabelScores
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.model import Model

Scores = dict[str, dict[str, float]]


class ScoreKeeper:
    """Adds up the metrics of the tasks of one dataset; a task whose gold is nothing but ``_`` has no scores."""

    def __init__(self, tasks: Mapping[str, TaskConfig]) -> None:
        self._metrics: dict[str, list[Metric]] = {
            task: [METRICS[name]() for name in config.metric_names()] for task, config in tasks.items()
        }
        self._decoders = {task: decoder_class(config) for task, config in tasks.items()}
        self._labels = {
            task: LabelScores() for task, decoder in self._decoders.items() if decoder.has_classes
        }
        self._annotated = dict.fromkeys(tasks, False)

    def add(
        self,
        gold: Mapping[str, Sequence[Any]],
        predicted: Mapping[str, Sequence[Any]],
        *,
        words: Sequence[str],
    ) -> None:
        """Adds one sentence: its gold labels, as far as it has some, the predicted ones, and its words."""
        for task, labels in gold.items():
            self._annotated[task] = self._annotated[task] or any(label != EMPTY for label in labels)
            decoder = self._decoders[task]
            scored = decoder.as_scored(labels, predicted[task])
            if task in self._labels:
                self._labels[task].add(*decoder.label_pairs(labels, scored, words))
            for metric in self._metrics[task]:
                metric.add(labels, scored)

    def scores(self) -> Scores:
        """The value of each metric of each annotated task."""
        return {
            task: {metric.name: metric.value() for metric in metrics}
            for task, metrics in self._metrics.items()
            if self._annotated[task]
        }

    def label_scores(self) -> dict[str, LabelScores]:
        """The scores of each label (relations of a parser, edit scripts of ``string2string``) by annotated task.

        Tasks whose labels are no classes have none.
        """
        return {task: scores for task, scores in self._labels.items() if self._annotated[task]}

    def label_scores_as_json(self) -> dict[str, Any]:
        """The same, for a file."""
        return {task: scores.as_json() for task, scores in self.label_scores().items()}


def predict_labels(
    model: Model, instances: Sequence[Instance], *, batch_size: int | None = None
) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """The place of each instance and its predicted labels by task, in batches of like length."""
    for place, labels, _ in rank_labels(model, instances, top_n={}, batch_size=batch_size):
        yield place, labels


def rank_labels(
    model: Model, instances: Sequence[Instance], *, top_n: Mapping[str, int], batch_size: int | None = None
) -> Iterator[tuple[int, dict[str, list[Any]], dict[str, list[Any]]]]:
    """As ``predict_labels``, and the best labels of each item for the tasks of ``top_n``."""
    for places, batch, scores in score_batches(model, instances, batch_size=batch_size):
        ranked: list[dict[str, list[Any]]] = [{} for _ in places]
        for task in top_n.keys() & scores.keys():
            sentences = batch.tasks[task].sentences
            words = [batch.instances[sentence].words for sentence in sentences]
            items = model.decoder(task).rank(scores[task], words, top_n=top_n[task])
            for sentence, own in zip(sentences, items, strict=True):
                ranked[sentence][task] = own
        yield from zip(places, model.labels(batch, scores), ranked, strict=True)


def score_batches(
    model: Model, instances: Sequence[Instance], *, batch_size: int | None = None
) -> Iterator[tuple[list[int], Batch, dict[str, Any]]]:
    """The places of the instances of each batch, the batch, and the scores of its tasks."""
    params = model.config.params
    # Without gradients four times the subwords of a training step fit in its memory.
    sizes = {"max_tokens": 4 * params.batching.max_tokens}
    sizes["batch_size"] = batch_size or 4 * params.batching.batch_size
    batching = BatchingParams.model_validate({**params.batching.model_dump(), **sizes})
    lengths = np.array([instance.longest_piece for instance in instances])
    pieces = np.array([len(instance.pieces.piece_starts) for instance in instances])
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), autocast(model):
            for places in cut(np.argsort(lengths, kind="stable"), lengths, pieces, batching):
                batch = model.batch([instances[place] for place in places], only_annotated=False)
                yield places, batch, model(batch)
    finally:
        model.train(was_training)


def autocast(model: Model) -> torch.autocast:
    """The precision that params ask for, as a context."""
    enabled = model.config.params.training.precision == "bf16"
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=enabled)


def evaluate(model: Model, dataset: str, instances: Sequence[Instance]) -> ScoreKeeper:
    """The scores of every annotated task of a dataset."""
    keeper = ScoreKeeper(model.config.datasets[dataset].tasks)
    for place, labels in predict_labels(model, instances):
        keeper.add(instances[place].labels, labels, words=instances[place].words)
    return keeper


def sum_of_main_metrics(scores: Mapping[str, Scores], tasks: Mapping[str, TaskConfig]) -> float:
    """The sum over datasets and tasks of the merit of the main metric, which is higher where the score is better."""
    total = 0.0
    for dataset_scores in scores.values():
        for task, values in dataset_scores.items():
            name = tasks[task].metric
            total += METRICS[name].merit(values[name])
    return total
