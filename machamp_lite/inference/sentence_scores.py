"""The metrics of one task on each sentence, from whose counts tests of significance resample, and on all together."""

from typing import Any

from machamp_lite.config.task_types import TaskOptions
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predicted_sentences import PredictedSentence
from machamp_lite.metrics import Metric


class SentenceScores:
    """The metrics of a task: ``total`` has those of all sentences, ``sentences`` those of each scored one in order."""

    def __init__(self, task: str, options: TaskOptions) -> None:
        self._tasks = {task: options}
        self.total = MetricTracker(self._tasks)
        self.sentences: list[list[Metric[Any]]] = []

    def add(self, sentence: PredictedSentence) -> list[Metric[Any]]:
        """Adds a sentence; returns its metrics, the main one first. They are empty if it is not scored."""
        (task,), own = self._tasks, MetricTracker(self._tasks)
        if task not in sentence.gold:
            return []
        for tracker in (own, self.total):
            tracker.add({task: sentence.gold[task]}, {task: sentence.predicted[task]}, words=sentence.words)
        if metrics := own.annotated_metrics().get(task, []):
            self.sentences.append(metrics)
        return metrics
