"""Compares ways of weighting: trains each of them with several seeds, in a folder whose finished runs are kept.

comparison.json       marks the folder; the checksums of the data, and all scores
comparison.md         the table and the recommendation
WAY/SEED/             ordinary run folders
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.acceleration import load_accelerated
from machamp_lite.config.schema import Config
from machamp_lite.dataloading.datasets import data_checksums
from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import replacing_file, write_json
from machamp_lite.files.checksums import checksum, read_json_object
from machamp_lite.inference.sentence_scores import SentenceScores, score_sentences
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.significance import compare_means, compare_metrics, holm
from machamp_lite.model.model_folder import is_complete_model
from machamp_lite.training import run_folder
from machamp_lite.training.resume_checks import changes

logger = logging.getLogger(__name__)

COMPARISON, REPORT, COMPARISON_FORMAT = "comparison.json", "comparison.md", 1
# Trains one run, from its config, its folder, and whether it is resumed; if not, the folder is overwritten.
TrainRun = Callable[[Config, Path, bool], None]


@dataclass(frozen=True, slots=True)
class WayScores:
    """The scores of one way: by column, one number per seed; the first column is the metric that is compared.

    The p-values are those of the difference from the first way, which has none: over seeds, and over sentences.
    Those over sentences are corrected for the number of ways.
    """

    name: str
    scores: Mapping[str, Sequence[float]]
    p_seeds: float | None = None
    p_sentences: float | None = None


@dataclass(frozen=True, kw_only=True)
class WeightComparison:
    """A comparison of ways on one task. ``configs`` has the config of each way, the first of which is the baseline.

    The files that are scored are the dev files of the task or, if it is given, the ``test`` file of a dataset.
    """

    folder: Path
    configs: Mapping[str, Config]
    seeds: Sequence[int]
    task: str
    test: tuple[str, Path] | None = None

    def __post_init__(self) -> None:
        if not self._files(next(iter(self.configs.values()))):
            raise ConfigError(f"--task: no dataset with '{self.task}' has dev_data_path; expected it, or --test")

    @property
    def metric(self) -> str:
        """The metric that is compared: the main one of the task."""
        return next(iter(self.configs.values())).tasks()[self.task].metric

    def file_names(self) -> list[str]:
        """The files that are scored."""
        return [str(path) for _, path in self._files(next(iter(self.configs.values())))]

    def runs(self) -> Iterator[tuple[Config, Path]]:
        """The config and the folder of each run, all ways of a seed together."""
        for seed in self.seeds:
            for way, config in self.configs.items():
                params = config.params.model_copy(update={"random_seed": seed})
                yield config.model_copy(update={"params": params}), self.folder / way / str(seed)

    def start(self) -> None:
        """Checks the folder and marks it.

        Raises ``ConfigError`` if it contains something else, or runs with another config or other data.
        """
        now = self._checksums()
        before = read_json_object(self.folder / COMPARISON)
        if before.get("format") == COMPARISON_FORMAT:
            changed = [path for path, old in before["data"].items() if now.get(path, old) != old]
            if changed:
                raise ConfigError(
                    f"{path}: has changed since {self.folder} was started; expected another --model_dir"
                    for path in changed
                )
            faults = [line for config, folder in self.runs() for line in _config_faults(config, folder)]
            if faults:
                raise ConfigError(faults)
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ConfigError(f"{self.folder}: is not a folder of compare-weights; expected a new or empty one")
        self.folder.mkdir(parents=True, exist_ok=True)
        data = {**before.get("data", {}), **now}
        write_json(self.folder / COMPARISON, {**before, "format": COMPARISON_FORMAT, "data": data})

    def train(self, train_run: TrainRun) -> None:
        """Trains all runs that are not finished."""
        runs = list(self.runs())
        for number, (config, folder) in enumerate(runs, start=1):
            name = f"run {number} of {len(runs)}, {folder.parent.name} with seed {folder.name}"
            if _is_finished(folder):
                logger.info("%s: is finished", name)
            else:
                logger.info("%s", name)
                train_run(config, folder, (folder / run_folder.STATE / run_folder.STATE_FILE).exists())

    def score(self, *, device: str, resamples: int) -> list[WayScores]:
        """Scores all runs, and tests the difference of each way from the first one."""
        found: dict[str, list[SentenceScores]] = {way: [] for way in self.configs}
        for config, folder in self.runs():
            model = load_accelerated(folder, device=device)
            found[folder.parent.name].append(score_sentences(model, self._files(config), task=self.task))
        # All runs have the same columns, because these depend on the gold labels.
        columns = {way: [self._columns(scores) for scores in runs] for way, runs in found.items()}
        scores = {way: {name: [run[name] for run in runs] for name in runs[0]} for way, runs in columns.items()}
        baseline, *others = self.configs
        pooled = {way: _pooled([run.sentences for run in runs]) for way, runs in found.items()}
        p_sentences = holm({way: compare_metrics(pooled[baseline], pooled[way], resamples=resamples) for way in others})
        p_seeds = {way: compare_means(scores[baseline][self.metric], scores[way][self.metric]) for way in others}
        return [WayScores(way, scores[way], p_seeds.get(way), p_sentences.get(way)) for way in self.configs]

    def write(self, ways: Sequence[WayScores], report: str) -> Path:
        """Writes the scores and the report into the folder; returns the path of the report."""
        document = read_json_object(self.folder / COMPARISON)
        results = {
            way.name: {"scores": way.scores, "p_seeds": way.p_seeds, "p_sentences": way.p_sentences} for way in ways
        }
        found = {"task": self.task, "metric": self.metric, "seeds": list(self.seeds), "ways": results}
        with replacing_file(self.folder / REPORT) as file:
            file.write(report)
        write_json(self.folder / COMPARISON, document | found)
        return self.folder / REPORT

    def _files(self, config: Config) -> list[tuple[str, Path]]:
        """The datasets and files that are scored."""
        if self.test is not None:
            return [self.test]
        return [
            (name, Path(dataset.dev_data_path))
            for name, dataset in config.datasets.items()
            if self.task in dataset.tasks and dataset.dev_data_path is not None
        ]

    def _checksums(self) -> dict[str, str]:
        checksums: dict[str, str] = {}
        for config in self.configs.values():
            checksums |= data_checksums(config)
        return checksums | ({str(self.test[1]): checksum(self.test[1])} if self.test else {})

    def _columns(self, scores: SentenceScores) -> dict[str, float]:
        """All metrics of the task, the macro F1 of labels, and the recall of the rarest one that is gold."""
        tracker = scores.tracker
        if self.task not in tracker.scores():
            raise ConfigError(f"--task: the files have no gold labels of '{self.task}', expected some")
        columns = dict(tracker.scores()[self.task])
        if self.task in tracker.label_scores() and tracker.are_classes(self.task):
            labels = tracker.label_scores()[self.task]
            columns.setdefault("f1_macro", labels.macro().f1)
            rarest = [row for row in labels.rows() if row.support][-1:]
            columns |= {f"recall of {row.label}": row.recall for row in rarest}
        return columns


def as_text(column: str, value: float) -> str:
    """A score as text; all scores of labels are in percent."""
    return METRICS[column].as_text(value) if column in METRICS else f"{100 * value:.2f}"


def _is_finished(folder: Path) -> bool:
    has_state = (folder / run_folder.STATE).exists()
    return (folder / run_folder.HISTORY).exists() and not has_state and is_complete_model(folder / run_folder.MODEL)


def _config_faults(config: Config, folder: Path) -> Iterator[str]:
    """A line for each key in which the config of an earlier run differs."""
    now = json.loads(json.dumps(run_folder.config_documents(config)))
    saved = {name: read_json_object(folder / name) for name in now}
    if all(saved.values()):
        nothing: dict[str, Any] = {"versions": {}, "data": {}}
        yield from changes({**nothing, "configs": saved}, {**nothing, "configs": now}, folder=folder)


def _pooled(runs: Sequence[Sequence[Metric[Any]]]) -> list[Metric[Any]]:
    """The counts of each sentence in all runs together."""
    first, *others = runs
    for run in others:
        for metric, other in zip(first, run, strict=True):
            metric.merge(other)
    return list(first)
