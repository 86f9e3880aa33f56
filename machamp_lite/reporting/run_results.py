"""Reads what a run folder says about its run: scores, losses, labels, predictions, config and environment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import (
    DATASET_CONFIGS,
    ENVIRONMENT,
    MODEL,
    PARAMS_CONFIG,
    SCORES,
)
from machamp_lite.model.saved_config import read_config
from machamp_lite.reporting.history import read_history


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """The results of one run.

    ``history`` has one object per epoch (see docs/reference/run_folders.md). ``scores`` has the object of each task by
    dataset: that of the scores file, or without one that of the best epoch. ``labels`` has the labels, counts and
    weights of each task in the training data. ``environment`` is empty for runs of older versions.
    """

    name: str
    folder: Path
    datasets: Mapping[str, DatasetConfig]
    dev_paths: Mapping[str, str]
    history: list[Mapping[str, Any]]
    best_epoch: int
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    labels: Mapping[str, Mapping[str, Any]]
    params: Mapping[str, Any]
    dataset_configs: Mapping[str, Any]
    environment: Mapping[str, Any]

    @property
    def best(self) -> Mapping[str, Any]:
        """The best epoch in the history."""
        return self.history[self.best_epoch - 1]

    @property
    def tasks(self) -> dict[str, TaskOptions]:
        """The tasks that were trained, by name."""
        return {
            task: options
            for dataset in self.datasets.values()
            for task, options in dataset.active().tasks.items()
        }

    def label_counts(self, task: str) -> list[tuple[str, int]]:
        """The labels of a task with their counts in the training data, the most frequent first."""
        entry = self.labels.get(task, {})
        counts = zip(entry.get("labels", []), entry.get("counts", []), strict=False)
        return sorted(counts, key=lambda pair: (-pair[1], pair[0]))

    def metric_names(self, task: str) -> list[str]:
        """The metrics of a task, the main one first; empty without dev data."""
        found = self.best["tasks"].get(task, {})
        return [name for name in self.tasks[task].metric_names() if name in found]


def read_run(folder: Path, *, name: str | None = None) -> RunResults:
    """Reads a run folder; raises ``ConfigError`` if there is no model of an epoch in it."""
    history, best_epoch = read_history(folder)
    config = read_config(folder / MODEL / "config.json")
    dataset_configs = read_json_object(folder / DATASET_CONFIGS)
    dev_paths = {
        dataset: str(entry["dev_data_path"])
        for dataset, entry in dataset_configs.items()
        if dataset in config.datasets and isinstance(entry, dict) and entry.get("dev_data_path")
    }
    return RunResults(
        name=name or folder.resolve().name,
        folder=folder,
        datasets=config.datasets,
        dev_paths=dev_paths,
        history=history,
        best_epoch=best_epoch,
        scores={
            dataset: _scores(folder, dataset, history[best_epoch - 1])
            for dataset in history[best_epoch - 1]["dev"]
        },
        labels=read_json_object(folder / MODEL / "labels.json"),
        params=read_json_object(folder / PARAMS_CONFIG),
        dataset_configs=dataset_configs,
        environment=read_json_object(folder / ENVIRONMENT),
    )


def read_runs(folders: Sequence[Path]) -> list[RunResults]:
    """Reads several run folders, with different names."""
    names = [folder.resolve().name for folder in folders]
    return [
        read_run(folder, name=name if names.count(name) == 1 else str(folder))
        for folder, name in zip(folders, names, strict=True)
    ]


def _scores(folder: Path, dataset: str, best: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of the tasks of a dataset: those of the scores file, if it has labels and counts."""
    in_history = {
        task: {
            **scores,
            **best["counts"].get(dataset, {}).get(task, {}),
            **({"labels": labels} if (labels := best["labels"].get(dataset, {}).get(task)) else {}),
        }
        for task, scores in best["dev"][dataset].items()
    }
    written = read_json_object(folder / f"{dataset}{SCORES}")
    is_detailed = all(isinstance(task, dict) and "scored" in task for task in written.values())
    return {**in_history, **written} if is_detailed else in_history


def as_text(document: Any) -> str:
    """Indented JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False)
