"""Compares ways of weighting: trains each of them with several seeds, in a folder whose finished runs are kept.

comparison.json       marks the folder; the checksums of the data, and all scores
comparison.md         the table and the recommendation
WAY/SEED/             ordinary run folders
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.acceleration import load_accelerated
from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import replacing_file, write_json
from machamp_lite.files.checksums import read_json_object
from machamp_lite.inference.predicted_sentences import predict_sentences
from machamp_lite.inference.sentence_scores import SentenceScores
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.significance import compare_means, compare_metrics, holm
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.run_group import RunGroup, with_seed

COMPARISON, REPORT = "comparison.json", "comparison.md"


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

    @property
    def group(self) -> RunGroup:
        """All runs, those of all ways with a seed together."""
        return RunGroup(
            folder=self.folder,
            configs={
                f"{way}/{seed}": with_seed(config, seed) for seed in self.seeds for way, config in self.configs.items()
            },
            marker=COMPARISON,
            command="compare-weights",
            inputs=[self.test[1]] if self.test else [],
        )

    def score(self, *, device: str, resamples: int) -> list[WayScores]:
        """Scores all runs, and tests the difference of each way from the first one."""
        found: dict[str, list[SentenceScores]] = {way: [] for way in self.configs}
        for name, config in self.group.configs.items():
            model = load_accelerated(self.folder / name, device=device)
            found[Path(name).parent.name].append(self._scores(model, config))
        # All runs have the same columns, because these depend on the gold labels.
        columns = {way: [self._columns(scores) for scores in runs] for way, runs in found.items()}
        scores = {way: {name: [run[name] for run in runs] for name in runs[0]} for way, runs in columns.items()}
        baseline, *others = self.configs
        pooled = {way: _pooled(runs) for way, runs in found.items()}
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

    def _scores(self, model: Model, config: Config) -> SentenceScores:
        """The scores of a model on the files."""
        scores = SentenceScores(self.task, model.config.tasks()[self.task])
        for dataset, path in self._files(config):
            for sentence in predict_sentences(model, dataset, path, task=self.task).sentences:
                scores.add(sentence)
        return scores

    def _columns(self, scores: SentenceScores) -> dict[str, float]:
        """All metrics of the task, the macro F1 of labels, and the recall of the rarest one that is gold."""
        tracker = scores.total
        if self.task not in tracker.scores():
            raise ConfigError(f"--task: the files have no gold labels of '{self.task}', expected some")
        columns = dict(tracker.scores()[self.task])
        if self.task in tracker.label_scores() and tracker.are_classes(self.task):
            labels = tracker.label_scores()[self.task]
            columns.setdefault("span_f1_macro" if labels.unit == "span" else "f1_macro", labels.macro().f1)
            rarest = [row for row in labels.rows() if row.support][-1:]
            columns |= {f"recall of {row.label}": row.recall for row in rarest}
        return columns


def as_text(column: str, value: float) -> str:
    """A score as text; all scores of labels are in percent."""
    return METRICS[column].as_text(value) if column in METRICS else f"{100 * value:.2f}"


def _pooled(runs: Sequence[SentenceScores]) -> list[Metric[Any]]:
    """The main metric of each sentence, with its counts in all runs together."""
    first, *others = ([metrics[0] for metrics in run.sentences] for run in runs)
    for run in others:
        for metric, other in zip(first, run, strict=True):
            metric.merge(other)
    return first
