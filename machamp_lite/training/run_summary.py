"""The scores of a group of runs: mean, deviation and best of each metric."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.inference.evaluation import Scores
from machamp_lite.metrics import METRICS
from machamp_lite.reporting.run_results import read_run


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """One metric of a task: its value by run, and that of all folds together (None for runs with other seeds)."""

    dataset: str
    task: str
    metric: str
    values: Mapping[str, float]
    overall: float | None = None

    @property
    def mean(self) -> float:
        """The mean over runs."""
        return statistics.mean(self.values.values())

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation over runs; None for one run."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def best_run(self) -> str:
        """The name of the run with the best value; of equal ones, the first."""
        sign = 1 if METRICS[self.metric].higher_is_better else -1
        return max(self.values, key=lambda run: sign * self.values[run])

    def as_json(self) -> dict[str, Any]:
        """An object for summary.json."""
        document: dict[str, Any] = {"values": dict(self.values), "mean": self.mean, "deviation": self.deviation}
        document |= {"best": self.values[self.best_run], "best_run": self.best_run}
        return document if self.overall is None else {**document, "overall": self.overall}


def dev_scores(folder: Path) -> Mapping[str, Scores]:
    """The dev scores of the best epoch of a run, by dataset."""
    scores: Mapping[str, Scores] = read_run(folder).best["dev"]
    return scores


def summarize(
    runs: Mapping[str, Mapping[str, Scores]], overall: Mapping[str, Scores] | None = None
) -> list[MetricSummary]:
    """One summary per dataset, task and metric, from the scores of each run by dataset."""
    values: dict[tuple[str, str, str], dict[str, float]] = {}
    for run, datasets in runs.items():
        for dataset, tasks in datasets.items():
            for task, scores in tasks.items():
                for metric, value in scores.items():
                    values.setdefault((dataset, task, metric), {})[run] = value
    return [
        MetricSummary(
            dataset=dataset,
            task=task,
            metric=metric,
            values=found,
            overall=(overall or {}).get(dataset, {}).get(task, {}).get(metric),
        )
        for (dataset, task, metric), found in values.items()
    ]


def as_json(summaries: list[MetricSummary]) -> dict[str, dict[str, dict[str, Any]]]:
    """The summaries as objects by dataset, task and metric."""
    document: dict[str, dict[str, dict[str, Any]]] = {}
    for one in summaries:
        document.setdefault(one.dataset, {}).setdefault(one.task, {})[one.metric] = one.as_json()
    return document
