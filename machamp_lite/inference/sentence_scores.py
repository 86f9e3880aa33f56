"""The scores of one task on files, with the counts of each sentence, from which tests of significance resample."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.inference.engine import predict_labels
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.metrics import Metric
from machamp_lite.model.multitask_model import Model


@dataclass(frozen=True, slots=True)
class SentenceScores:
    """The scores of a task, and its main metric for each annotated sentence, in the order of the files."""

    tracker: MetricTracker
    sentences: list[Metric[Any]]


def score_sentences(model: Model, files: Sequence[tuple[str, str | Path]], *, task: str) -> SentenceScores:
    """Predicts files with gold labels, each with its dataset, and scores one task; writes nothing.

    Raises ``DataError`` if a file cannot be read.
    """
    tasks = {task: model.config.tasks()[task]}
    scores = SentenceScores(MetricTracker(tasks), [])
    for dataset, path in files:
        config = find_dataset(model.config, dataset)
        reader = DatasetReader(
            name=dataset,
            config=config.model_copy(update={"tasks": {task: config.tasks[task]}}),
            tokenizer=model.tokenizer,
            vocabularies=model.vocabularies,
        )
        examples = reader.read_evaluation(path)
        found = dict(predict_labels(model, examples))
        for index in sorted(found):
            example, one = examples[index], MetricTracker(tasks)
            for tracker in (scores.tracker, one):
                tracker.add(example.labels, found[index], words=example.words)
            scores.sentences.extend(metrics[0] for metrics in one.annotated_metrics().values())
    return scores
