"""Scores predicted labels against gold labels."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from machamp_lite import progress
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import EMPTY
from machamp_lite.data.span_schemes import scheme_of
from machamp_lite.dataloading.example import Example
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.decoders import decoder_class
from machamp_lite.inference.calibration import CalibrationTracker
from machamp_lite.inference.engine import predict_labels
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.base import annotated_items
from machamp_lite.metrics.label_report import LabelScores
from machamp_lite.metrics.span_report import SpanScores
from machamp_lite.model.multitask_model import Model

Scores = dict[str, dict[str, float]]


class MetricTracker:
    """Collects the metrics of the tasks of one dataset. A task whose gold labels are all ``_`` has no scores."""

    def __init__(self, tasks: Mapping[str, TaskOptions]) -> None:
        self._metrics: dict[str, list[Metric]] = {
            task: [METRICS[name].for_task(config) for name in config.metric_names()]
            for task, config in tasks.items()
        }
        self._decoders = {task: decoder_class(config) for task, config in tasks.items()}
        self._labels = {task: scores for task, options in tasks.items() if (scores := _label_scores(options))}
        self._annotated = dict.fromkeys(tasks, False)
        # The numbers of sentences and words that were scored.
        self._scored = {task: [0, 0] for task in tasks}
        # Of predicted files; dev scores within a run have none.
        self.calibration = CalibrationTracker(tasks)
        # Unusual gold labels, some of which are excluded from the scores.
        self.issues = IssueCounter()

    def add(
        self,
        gold: Mapping[str, Sequence[Any]],
        predicted: Mapping[str, Sequence[Any]],
        *,
        words: Sequence[str],
    ) -> None:
        """Adds one sentence: its gold labels, if it has any, the predicted ones, and its words.

        A gold label that is None is not scored.
        """
        for task, labels in gold.items():
            if task not in predicted:
                # The task is switched off.
                continue
            self._annotated[task] = self._annotated[task] or any(label not in (EMPTY, None) for label in labels)
            decoder = self._decoders[task]
            self._scored[task][0] += 1
            self._scored[task][1] += len(words) - labels.count(None)
            scored = decoder.align_for_scoring(labels, predicted[task])
            classes: tuple[Sequence[Any], Sequence[Any]] = (labels, scored)
            if decoder.Options.has_classes:
                in_gold, in_predicted = annotated_items(labels, scored)
                classes = decoder.label_pairs(in_gold, in_predicted, annotated_items(labels, words)[1])
            for counts in self._counts(task):
                counts.add(*(classes if counts.compares_classes else (labels, scored)))

    def _counts(self, task: str) -> Iterator[Metric | LabelScores]:
        yield from self._metrics[task]
        if task in self._labels:
            yield self._labels[task]

    def scores(self) -> Scores:
        """The value of each metric of each annotated task."""
        return {
            task: {metric.name: metric.value() for metric in metrics}
            for task, metrics in self.annotated_metrics().items()
        }

    def annotated_metrics(self) -> dict[str, list[Metric]]:
        """The metrics of each annotated task, the main one first."""
        return {task: metrics for task, metrics in self._metrics.items() if self._annotated[task]}

    def warnings(self) -> list[str]:
        """A line for each metric that could not read some gold labels of an annotated task."""
        return [
            f"task '{task}': {line}"
            for task, metrics in self.annotated_metrics().items()
            for line in (metric.warning() for metric in metrics)
            if line is not None
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        """The numbers of sentences (or rows of a TSV file) that were scored and skipped, by annotated task.

        Skipped sentences have gold labels that cannot be used. Tasks that label words also have the numbers of words.
        """
        counts = {}
        for task, (sentences, words) in self._scored.items():
            excluded = self.issues.excluded(task)
            skipped = sum(count.occurrences for count in excluded)
            if self._annotated[task] or skipped:
                counts[task] = {"scored": sentences, "skipped": skipped}
                if self._decoders[task].Options.labels_words():
                    skipped_words = sum(count.words for count in excluded)
                    counts[task] |= {"scored_words": words, "skipped_words": skipped_words}
        return counts

    def label_scores(self) -> dict[str, LabelScores]:
        """The scores of each label, by annotated task whose labels are classes or mark spans.

        The labels of a parser are its relations, those of ``string2string`` its edit scripts, and those of spans their
        types.
        """
        return {task: scores for task, scores in self._labels.items() if self._annotated[task]}

    def are_classes(self, task: str) -> bool:
        """Whether the vocabulary of a task consists of the labels in a file, not of edit scripts."""
        return self._decoders[task].labels_are_classes

    def label_scores_as_json(self) -> dict[str, Any]:
        """As ``label_scores``, for a scores file."""
        return {task: scores.as_json() for task, scores in self.label_scores().items()}


def _label_scores(options: TaskOptions) -> LabelScores | None:
    """What collects the scores of each label, or of each type of spans; None for a task without classes."""
    if options.scores_spans:
        return SpanScores(scheme_of(options))
    return LabelScores(exclusive=decoder_class(options).labels_are_exclusive) if options.has_classes else None


def evaluate(
    model: Model,
    dataset: str,
    examples: Sequence[Example],
    *,
    before_each: Callable[[], None] = lambda: None,
) -> MetricTracker:
    """Predicts and scores the annotated tasks of a dataset; ``before_each`` is called before each example is scored."""
    tracker = MetricTracker(model.config.datasets[dataset].active().tasks)
    if isinstance(examples, ExampleStore):
        tracker.issues = IssueCounter(examples.issues)
    predicted = progress.track(predict_labels(model, examples), f"evaluating {dataset}", total=len(examples))
    for index, labels in predicted:
        before_each()
        example = examples[index]
        tracker.add(example.labels, labels, words=example.words)
    return tracker


def scores_by_task(trackers: Iterable[MetricTracker]) -> Scores:
    """The value of each metric of each annotated task over all datasets with the task."""
    merged: dict[str, list[Metric]] = {}
    for tracker in trackers:
        for task, metrics in tracker.annotated_metrics().items():
            if task not in merged:
                merged[task] = copy.deepcopy(metrics)
            else:
                for metric, other in zip(merged[task], metrics, strict=True):
                    metric.merge(other)
    return {task: {metric.name: metric.value() for metric in metrics} for task, metrics in merged.items()}


def sum_of_main_metrics(scores: Mapping[str, Scores], tasks: Mapping[str, TaskOptions]) -> float:
    """The sum of the selection scores of the main metrics of all datasets and tasks; higher is better."""
    total = 0.0
    for dataset_scores in scores.values():
        for task, values in dataset_scores.items():
            name = tasks[task].metric
            total += METRICS[name].selection_score(values[name])
    return total
