"""Scores a file of predictions against a file with gold labels, without the model that predicted it."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.record import EMPTY
from machamp_lite.data.span_schemes import AUTO, EDGE, OUTSIDE, recognise
from machamp_lite.data_checks.span_schemes import is_span_task
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import DataError
from machamp_lite.files.streams import AnyPath
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predicted_sentences import (
    LABELLED_TEXT,
    OtherSentencesError,
    PredictedFile,
    PredictedSentence,
    read_predictions,
    readable_tasks,
)
from machamp_lite.metrics.class_scores import default_positive_label, is_clear

logger = logging.getLogger(__name__)


def score_predictions(config: DatasetConfig, *, gold: AnyPath, predicted: AnyPath) -> MetricTracker:
    """The scores of all tasks whose labels can be read from both files.

    Span schemes and positive labels that the config leaves open are those of the gold labels. If a task splits raw text
    into words and the words differ, only such tasks are scored, with a warning. Raises ``DataError`` with the line of
    the first sentence that is not in both files, and if no task can be scored.
    """
    issues, files = IssueCounter(), []
    options: dict[str, Any] = {"source": gold, "predicted": predicted, "issues": issues}
    has_raw = bool(readable_tasks(config, ["raw"]))
    if has_raw:
        files.append(read_predictions(config, input_types=["raw"], **options))
    try:
        files.append(read_predictions(config, **options))
        if has_raw:
            logger.warning("%s: has the words of %s, expected those of a prediction of raw text", predicted, gold)
    except OtherSentencesError as error:
        if not has_raw:
            raise
        logger.warning("%s; scored: %s", error.faults[0], ", ".join(files[0].tasks))
    if unread := config.active().tasks.keys() - readable_tasks(config, [*LABELLED_TEXT, "raw"]):
        names = ", ".join(task for task in config.tasks if task in unread)
        logger.warning("%s: not scored, because their labels cannot be read from a file: %s", predicted, names)
    found = {task: options for file in files for task, options in _resolved(file).items()}
    tasks = {task: found[task] for task in config.tasks if task in found}
    for task in tasks:
        predictions = [one.predicted[task] for file in files for one in file.sentences if task in one.predicted]
        if predictions and all(label == EMPTY for labels in predictions for label in labels):
            logger.warning("%s: all labels of task '%s' are '%s'; was this task predicted?", predicted, task, EMPTY)
    tracker = MetricTracker(tasks)
    tracker.issues = issues
    for sentence in chain.from_iterable(file.sentences for file in files):
        tracker.add(sentence.gold, sentence.predicted, words=sentence.words)
    if not tracker.scores():
        raise DataError(f"{gold}: found no gold labels that can be scored, expected some to compare predictions with")
    return tracker


def _resolved(file: PredictedFile) -> Mapping[str, TaskOptions]:
    """The tasks of a file with the options that are recognised from its gold labels."""
    return {
        task: options.model_copy(update=_recognised(task, options, file.sentences))
        for task, options in file.tasks.items()
    }


def _recognised(task: str, options: TaskOptions, sentences: Sequence[PredictedSentence]) -> dict[str, str]:
    annotated = [sentence for sentence in sentences if task in sentence.gold]
    changes = {}
    if is_span_task(options) and getattr(options, "scheme", None) == AUTO:
        labels = [[EDGE, *(label or OUTSIDE for label in one.gold[task]), EDGE] for one in annotated]
        changes["scheme"] = recognise(Counter(chain.from_iterable(map(pairwise, labels)))).name
    if options.has_positive_label and options.positive_label is None:
        decoder = decoder_class(options)
        classes = {label for one in annotated for label in decoder.classes(one.gold[task], one.words)}
        changes["positive_label"] = default_positive_label(classes)
        if classes and not is_clear(classes):
            logger.warning(
                "task '%s': scores only the label '%s', the last one in sorted order; set positive_label of the task",
                task,
                changes["positive_label"],
            )
    return changes
