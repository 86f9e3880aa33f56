"""What a search maximises: a score of the dev data, in the epoch whose model a run keeps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError, DataError, did_you_mean
from machamp_lite.metrics import METRICS


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric of a task on all its dev files; without one, the sum of main metrics, which selects the best epoch."""

    task: str | None = None
    metric: str | None = None

    @classmethod
    def parse(cls, text: str | None, config: Config) -> "Objective":
        """The objective ``TASK.METRIC``; raises ``ConfigError`` if the config does not score it on dev data."""
        datasets = [dataset.active() for dataset in config.datasets.values() if dataset.dev_data_path is not None]
        if not datasets:
            raise ConfigError("tune: no dataset has dev_data_path, expected one: trials are compared on dev data")
        if text is None:
            return cls()
        scored = {task: options for dataset in datasets for task, options in dataset.tasks.items()}
        names = [f"{task}.{metric}" for task, options in scored.items() for metric in options.metric_names()]
        task, _, metric = text.rpartition(".")
        if task in scored and metric in scored[task].metrics and text not in names:
            hint = f"it is not computed; add it to additional_metrics of '{task}'"
            raise ConfigError(f"--metric: found '{text}', but {hint}")
        if text not in names:
            raise ConfigError(f"--metric: unknown '{text}', expected TASK.METRIC{did_you_mean(text, names)}")
        return cls(task, metric)

    @property
    def name(self) -> str:
        """The name of the score."""
        return "sum of main metrics" if self.task is None else f"{self.task}.{self.metric}"

    def best_epoch(self, history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The epoch whose model the run keeps: the average of epochs, or that with the highest sum of main metrics."""
        if any(epoch["dev_sum"] is None for epoch in history):
            raise DataError("tune: found no gold labels in the dev data, expected some to compare trials with")
        if "average_of" in history[-1]:
            return history[-1]
        return max(history, key=lambda epoch: -math.inf if math.isnan(epoch["dev_sum"]) else epoch["dev_sum"])

    def score(self, history: Sequence[Mapping[str, Any]]) -> float:
        """The score of the best epoch so far; higher is better, so that some metrics are inverted."""
        epoch = self.best_epoch(history)
        if self.metric is None:
            return float(epoch["dev_sum"])
        found = epoch["tasks"].get(self.task, {})
        if self.metric not in found:
            raise DataError(f"--metric: found no gold labels of '{self.task}' in the dev data, expected some")
        return METRICS[self.metric].selection_score(found[self.metric])

    def as_text(self, score: float | None) -> str:
        """A score as text, a metric as in tables of scores; empty for None."""
        return "" if score is None else self._shown(self._value(score))

    def difference(self, score: float | None, other: float | None) -> str:
        """The difference of a score from another one as text; empty if one of them is None."""
        if score is None or other is None:
            return ""
        difference = self._value(score) - self._value(other)
        return f"{'-' if difference < 0 else '+'}{self._shown(abs(difference))}"

    def _value(self, score: float) -> float:
        """The value of the metric; metrics where lower is better are inverted in scores."""
        return score if self.metric is None or METRICS[self.metric].higher_is_better else 1 / score - 1

    def _shown(self, value: float) -> str:
        return f"{value:.4f}" if self.metric is None else METRICS[self.metric].as_text(value)
