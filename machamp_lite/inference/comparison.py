"""Compares the predictions of two models for the same sentences: scores, tests, labels and sentences that differ."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from machamp_lite.config.task_types import TaskOptions
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import ConfigError
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predicted_sentences import PredictedFile, PredictedSentence
from machamp_lite.inference.sentence_scores import SentenceScores
from machamp_lite.metrics import label_set
from machamp_lite.metrics.significance import bonferroni, bootstrap_metrics, compare_metrics, holm

CORRECTIONS: dict[str, Callable[[Mapping[str, float]], dict[str, float]]] = {"holm": holm, "bonferroni": bonferroni}


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A metric of two models, and the tests of their difference.

    ``p_permutation`` is that of approximate randomisation, ``p_bootstrap`` that of the paired bootstrap; ``low`` and
    ``high`` are the 95% interval of the second value minus the first.
    """

    name: str
    first: float
    second: float
    p_permutation: float
    p_bootstrap: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """The F1 of a label of two models, and the number of gold items."""

    label: str
    first: float
    second: float
    support: int


@dataclass(frozen=True, slots=True)
class ChangedSentence:
    """A sentence with different predictions: what they are about, the gold label, and both predictions.

    ``gain`` is the main metric of this sentence alone, of the second model minus the first; higher is better.
    """

    source: str
    words: tuple[str, ...]
    items: list[tuple[str, Any, Any, Any]]
    gain: float


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """All about one task; ``labels`` and ``changed`` begin with the largest differences."""

    dataset: str
    task: str
    sentences: int
    metrics: list[MetricComparison]
    labels: list[LabelComparison]
    changed: list[ChangedSentence]


def compare_files(
    first: PredictedFile, second: PredictedFile, *, dataset: str, resamples: int, seed: int = 0
) -> list[TaskComparison]:
    """Compares the tasks that both files have, by the metrics of the first one.

    Raises ``ConfigError`` if a task has different gold labels in them.
    """
    return [
        _compare_task(pairs, dataset=dataset, task=task, options=options, resamples=resamples, seed=seed)
        for task, options in first.tasks.items()
        if task in second.tasks and (pairs := list(_pairs_with(task, first, second)))
    ]


def correct(comparisons: Sequence[TaskComparison], method: str) -> list[TaskComparison]:
    """The same with p-values that are corrected for the number of metrics of all tasks, by a method."""
    tests = [metric for one in comparisons for metric in one.metrics]
    permutation, bootstrap = (
        iter(CORRECTIONS[method]({str(number): p for number, p in enumerate(p_values)}).values())
        for p_values in ([metric.p_permutation for metric in tests], [metric.p_bootstrap for metric in tests])
    )
    return [
        replace(
            one,
            metrics=[
                replace(metric, p_permutation=next(permutation), p_bootstrap=next(bootstrap)) for metric in one.metrics
            ],
        )
        for one in comparisons
    ]


def _pairs_with(
    task: str, first: PredictedFile, second: PredictedFile
) -> Iterator[tuple[PredictedSentence, PredictedSentence]]:
    """The sentences with gold labels of a task, of both files."""
    others = {_line_of(sentence): sentence for sentence in second.sentences if task in sentence.gold}
    sentences = [sentence for sentence in first.sentences if task in sentence.gold]
    for sentence in sentences:
        other = others.get(_line_of(sentence))
        if other is None or len(others) != len(sentences) or other.gold[task] != sentence.gold[task]:
            raise ConfigError(
                f"{sentence.source}: the two models have different gold labels of task '{task}', expected a task that "
                "reads the same columns in both"
            )
        yield sentence, other


def _line_of(sentence: PredictedSentence) -> str:
    """The line of a sentence; its file may have another path in another run."""
    return sentence.source.rpartition(":")[2]


def _compare_task(
    pairs: Sequence[tuple[PredictedSentence, PredictedSentence]],
    *,
    dataset: str,
    task: str,
    options: TaskOptions,
    resamples: int,
    seed: int,
) -> TaskComparison:
    first, second = (SentenceScores(task, options) for _ in range(2))
    changed = []
    for one, other in pairs:
        metrics = [*first.add(one)[:1], *second.add(other)[:1]]
        if metrics and (items := _changed_items(one, other, task=task, options=options)):
            before, after = (metric.selection_score(metric.value()) for metric in metrics)
            changed.append(ChangedSentence(one.source, one.words, items, after - before))
    return TaskComparison(
        dataset,
        task,
        len(first.sentences),
        list(_compare_metrics(first, second, task=task, resamples=resamples, seed=seed)),
        _compare_labels(first.total, second.total, task=task),
        sorted(changed, key=lambda sentence: -abs(sentence.gain)),
    )


def _compare_metrics(
    first: SentenceScores, second: SentenceScores, *, task: str, resamples: int, seed: int
) -> Iterator[MetricComparison]:
    values, others = (side.total.scores().get(task, {}) for side in (first, second))
    for number, (name, value) in enumerate(values.items()):
        sides = [[metrics[number] for metrics in side.sentences] for side in (first, second)]
        p_permutation = compare_metrics(*sides, resamples=resamples, seed=seed)
        bootstrap = bootstrap_metrics(*sides, resamples=resamples, seed=seed)
        yield MetricComparison(
            name, value, others[name], p_permutation, bootstrap.p_value, bootstrap.low, bootstrap.high
        )


def _compare_labels(first: MetricTracker, second: MetricTracker, *, task: str) -> list[LabelComparison]:
    """The labels whose F1 differs, those with the largest difference times support first."""
    sides = [tracker.label_scores().get(task) for tracker in (first, second)]
    rows = [{} if scores is None else {row.label: row for row in scores.rows()} for scores in sides]
    found = []
    for label in {**rows[0], **rows[1]}:
        one, other = (side.get(label) for side in rows)
        first_f1, second_f1 = (0.0 if row is None else row.f1 for row in (one, other))
        support = max(row.support for row in (one, other) if row is not None)
        if first_f1 != second_f1:
            found.append(LabelComparison(label, first_f1, second_f1, support))
    return sorted(found, key=lambda row: -abs(row.second - row.first) * max(row.support, 1))


def _changed_items(
    first: PredictedSentence, second: PredictedSentence, *, task: str, options: TaskOptions
) -> list[tuple[str, Any, Any, Any]]:
    """The items with different predictions: their word, or the text, then the gold label and both predictions."""
    decoder, gold = decoder_class(options), first.gold[task]
    one, other = (decoder.align_for_scoring(gold, sentence.predicted[task]) for sentence in (first, second))
    words = first.words if options.labels_words() else [" ".join(first.words)] * len(gold)
    items = zip(words, gold, one, other, strict=True)
    return [item for item in items if item[1] is not None and _compared(item[2]) != _compared(item[3])]


def _compared(label: Any) -> Any:
    """A label for comparison: labels that are joined by | may be in any order."""
    return label_set(label) if isinstance(label, str) else label
