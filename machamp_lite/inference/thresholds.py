"""Tunes and changes the threshold of multi-label tasks, which predict the labels with a higher probability."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import MultiSeqOptions, listed_metrics
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.base import split
from machamp_lite.decoders.multiseq import MultiSeq
from machamp_lite.errors import ConfigError, DataError, nearest
from machamp_lite.files.atomic import write_json
from machamp_lite.inference.engine import score_batches
from machamp_lite.metrics import METRICS
from machamp_lite.model.multitask_model import Model

THRESHOLDS = tuple(number / 100 for number in range(5, 100, 5))


@dataclass(frozen=True, slots=True)
class TunedThreshold:
    """The value of a metric for each threshold."""

    task: str
    metric: str
    values: dict[float, float]

    @property
    def best(self) -> float:
        """The threshold with the highest value; if several have it, the one nearest to 0.5."""
        return max(self.values, key=lambda threshold: (self.values[threshold], -abs(threshold - 0.5)))


def tasks_with_threshold(config: DatasetConfig) -> list[str]:
    """The tasks of a dataset with any number of labels per item."""
    return [task for task, options in config.active().tasks.items() if isinstance(options, MultiSeqOptions)]


def check_threshold(config: DatasetConfig, dataset: str, *, flag: str) -> None:
    """Raises ``ConfigError`` for the flag if a dataset has no task with a threshold."""
    if not tasks_with_threshold(config):
        raise ConfigError(f"{flag}: found no task of type multiseq or multiclas in {dataset}, expected one")


def choose_task(config: DatasetConfig, dataset: str, task: str | None, *, flag: str) -> str:
    """The task with this name, or the only one with a threshold; else raises ``ConfigError`` for the flag."""
    check_threshold(config, dataset, flag=flag)
    known = tasks_with_threshold(config)
    if task is None and len(known) == 1:
        return known[0]
    if task not in known:
        found, hint = ("none", "") if task is None else (f"'{task}'", nearest(task, known))
        raise ConfigError(
            f"{flag}: found {found}, expected one of the tasks of {dataset} with a threshold: {', '.join(known)}{hint}"
        )
    return task


@contextlib.contextmanager
def overridden_threshold(model: Model, dataset: str, threshold: float | None) -> Iterator[None]:
    """In this context, the tasks of a dataset that have a threshold have this one; None changes nothing."""
    tasks = tasks_with_threshold(find_dataset(model.config, dataset))
    decoders = [model.decoder(task) for task in tasks] if threshold is not None else []
    before = [decoder.config for decoder in decoders]
    try:
        for decoder in decoders:
            decoder.config = decoder.config.model_copy(update={"threshold": threshold})
        yield
    finally:
        for decoder, config in zip(decoders, before, strict=True):
            decoder.config = config


def tune(
    model: Model,
    source: str | Path,
    *,
    dataset: str,
    task: str,
    metric: str | None = None,
) -> TunedThreshold:
    """Scores all thresholds on a file with gold labels; the model is run once.

    ``metric`` is by default the main metric of the task. Raises ``ConfigError`` for a metric that the task does not
    have, and ``DataError`` if the file has no gold labels.
    """
    decoder = model.decoder(task)
    assert isinstance(decoder, MultiSeq)
    metric = metric or decoder.config.metric
    if metric not in decoder.Options.metrics:
        raise ConfigError(
            f"--metric: found '{metric}', expected one of the metrics of '{task}': "
            f"{listed_metrics(decoder.Options.metrics)}"
        )
    reader = DatasetReader(
        name=dataset,
        config=find_dataset(model.config, dataset),
        tokenizer=model.tokenizer,
        vocabularies=model.vocabularies,
    )
    examples = reader.read_evaluation(source)
    metrics = {threshold: METRICS[metric].for_task(decoder.config) for threshold in THRESHOLDS}
    annotated = False
    for gold, probabilities in _gold_and_probabilities(model, examples, task):
        annotated = True
        lengths = list(map(len, probabilities))
        for threshold, scorer in metrics.items():
            predicted = split(decoder.labels_above(torch.cat(probabilities), threshold), lengths)
            for gold_labels, labels in zip(gold, predicted, strict=True):
                pair = (gold_labels, labels)
                scorer.add(*(decoder.label_pairs(*pair, words=()) if scorer.compares_classes else pair))
    if not annotated:
        raise DataError(f"{source}: found no labels of task '{task}', expected some to tune its threshold on")
    return TunedThreshold(task, metric, {threshold: scorer.value() for threshold, scorer in metrics.items()})


def _gold_and_probabilities(
    model: Model, examples: Sequence[Example], task: str
) -> Iterator[tuple[list[Any], list[Tensor]]]:
    """Yields the gold labels and probabilities of the annotated sentences of each batch."""
    for indices, batch, scores in score_batches(model, examples):
        if task not in scores:
            continue
        items = batch.tasks[task]
        probabilities = scores[task].float().sigmoid().split(items.lengths.tolist())
        labels = [examples[indices[sentence]].labels for sentence in items.sentences]
        annotated = [pair for pair in zip(labels, probabilities, strict=True) if task in pair[0]]
        if annotated:
            yield [by_task[task] for by_task, _ in annotated], [rows for _, rows in annotated]


def save_threshold(folder: str | Path, task: str, threshold: float) -> None:
    """Writes a threshold into the config of a model folder, for every dataset with the task."""
    path = Path(folder) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for dataset in config["datasets"].values():
        if task in dataset["tasks"]:
            dataset["tasks"][task]["threshold"] = threshold
    write_json(path, config)
