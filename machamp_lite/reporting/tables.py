"""The tables of a report: scores of all runs, and the scores of labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from machamp_lite.data.span_schemes import Scheme, scheme_of
from machamp_lite.metrics import METRICS, label_report
from machamp_lite.metrics.base import ratio
from machamp_lite.metrics.span_report import SpanScores
from machamp_lite.reporting.run_results import RunResults

# Dataset, task and metric.
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class LabelRow(label_report.LabelRow):
    """The scores of a label on the dev data, with its count and weight in the training data."""

    count: int | None
    weight: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSection:
    """The scores of the labels of a task on a dev file."""

    run: RunResults
    dataset: str
    task: str
    rows: Sequence[LabelRow]
    scores: Mapping[str, Any]

    @property
    def has_weights(self) -> bool:
        """Whether the task has class weights."""
        return any(row.weight is not None for row in self.rows)

    @property
    def points(self) -> list[LabelRow]:
        """The labels whose count in the training data and recall are known."""
        return [row for row in self.rows if row.count and row.support]

    @property
    def confusion(self) -> Mapping[str, Any] | None:
        """The confusion matrix, if the task has one label per item."""
        found = self.scores["labels"].get("confusion")
        return found if found and len(found["labels"]) > 1 else None

    def share(self, gold: int, predicted: int) -> float:
        """The shade of a cell of the confusion matrix: recall, or an error relative to the most frequent one."""
        matrix = self.scores["labels"]["confusion"]["matrix"]
        if gold == predicted:
            return ratio(matrix[gold][gold], sum(matrix[gold]))
        most = max(max(row[:label] + row[label + 1 :]) for label, row in enumerate(matrix))
        return ratio(matrix[gold][predicted], most)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The values of a metric in each run, as texts; ``best`` are the indices of the best ones of several."""

    dataset: str
    task: str
    metric: str
    texts: Sequence[str]
    best: Sequence[int]


def score_rows(runs: Sequence[RunResults]) -> Iterator[ScoreRow]:
    """The scores of all datasets and tasks, in the order of the configs, with the official UD scores last."""
    metrics: dict[_Key, dict[int, float | None]] = {}
    official: dict[_Key, dict[int, float | None]] = {}
    for number, run in enumerate(runs):
        for dataset, tasks in run.scores.items():
            for task, scores in tasks.items():
                for name in run.tasks[task].metric_names() if task in run.tasks else ():
                    metrics.setdefault((dataset, task, name), {})[number] = scores.get(name)
                for name, value in scores.get("ud", {}).items():
                    official.setdefault((dataset, task, f"{name} (official UD)"), {})[number] = value
    for (dataset, task, name), values in [*metrics.items(), *official.items()]:
        # The official scores are shares for which higher is better, as is accuracy.
        metric = METRICS[name if name in METRICS else "accuracy"]
        known = {number: value for number, value in values.items() if value is not None}
        selection = {number: metric.selection_score(value) for number, value in known.items()}
        highest = max(selection.values(), default=None)
        best = [number for number, score in selection.items() if len(selection) > 1 and score == highest]
        if known:
            texts = [metric.as_text(known[number]) if number in known else "" for number in range(len(runs))]
            yield ScoreRow(dataset, task, name, texts, best)


def label_sections(runs: Sequence[RunResults]) -> Iterator[LabelSection]:
    """The labels of all tasks that have scores of labels."""
    for run in runs:
        for dataset, tasks in run.scores.items():
            for task, scores in tasks.items():
                if "labels" in scores:
                    trained = run.labels.get(task, {})
                    counts = dict(zip(trained.get("labels", []), trained.get("counts", []), strict=False))
                    if scores["labels"].get("unit") == SpanScores.unit:
                        counts = _span_counts(counts, scheme_of(run.tasks.get(task)))
                    rows = list(_label_rows(scores["labels"]["labels"], trained, counts))
                    yield LabelSection(run=run, dataset=dataset, task=task, rows=rows, scores=scores)


def _span_counts(counts: Mapping[str, int], scheme: Scheme) -> dict[str, int]:
    """The number of spans of each type in the training data, if single labels show where its spans start."""
    found: dict[str, int] = {}
    starts = {label: scheme.always_starts_span(label) for label in counts}
    for label, count in counts.items():
        if starts[label]:
            kind = scheme.parse(label)[1]
            found[kind] = found.get(kind, 0) + count
    unknown = {scheme.parse(label)[1] for label, start in starts.items() if start is None}
    return {kind: count for kind, count in found.items() if kind not in unknown}


def _label_rows(
    scores: Mapping[str, Mapping[str, float]], trained: Mapping[str, Any], counts: Mapping[str, int]
) -> Iterator[LabelRow]:
    weights = dict(zip(trained.get("labels", []), trained.get("weights") or [], strict=False))
    for label, row in scores.items():
        numbers = (row["precision"], row["recall"], row["f1"], int(row["support"]))
        yield LabelRow(label, *numbers, counts.get(label), weights.get(label))


def same_task(section: LabelSection, sections: Sequence[LabelSection]) -> list[LabelSection]:
    """The sections of all runs about the same task; empty if ``section`` is not the first of them."""
    found = [one for one in sections if (one.dataset, one.task) == (section.dataset, section.task)]
    return found if found[0] is section else []
