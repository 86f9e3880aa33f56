"""The text of a comparison of two models."""

from collections.abc import Iterator, Sequence
from typing import Any

from machamp_lite.cli.text_blocks import Block, Table
from machamp_lite.errors import counted, one_line, shorten, shown_label
from machamp_lite.inference.comparison import ChangedSentence, MetricComparison, TaskComparison
from machamp_lite.metrics import METRICS
from machamp_lite.metrics.significance import SIGNIFICANCE

LABELS_SHOWN = 5
_TEXT_SHOWN = 100


def blocks(
    comparisons: Sequence[TaskComparison], *, correction: str, resamples: int, sentences: int
) -> Iterator[Block]:
    """The parts of the text: all scores, then the labels and sentences of each task."""
    yield _scores(comparisons)
    number = sum(len(one.metrics) for one in comparisons)
    corrected = f", corrected for {number} tests ({correction.capitalize()})" if number > 1 else ""
    yield (
        "The interval is that of B - A, by the bootstrap. p: of approximate randomisation and of the paired bootstrap, "
        f"{resamples} resamples of sentences{corrected}. *: both are at most {SIGNIFICANCE}."
    )
    for one in comparisons:
        signs = [(change.gain > 0) - (change.gain < 0) for change in one.changed]
        better, worse = signs.count(1), signs.count(-1)
        yield (
            f"## {one.dataset} {one.task}: predictions of {len(signs)} of {counted(one.sentences, 'sentence')} differ; "
            f"B is better in {better}, worse in {worse}"
        )
        if one.labels:
            yield [
                f"F1 of labels in which B is {what}: {', '.join(labels)}"
                for what, labels in (("better", _labels(one, sign=1)), ("worse", _labels(one, sign=-1)))
                if labels
            ]
        if shown := one.changed[:sentences]:
            yield [line for change in shown for line in _sentence(change)]


def _scores(comparisons: Sequence[TaskComparison]) -> Table:
    header = ["dataset", "task", "metric", "A", "B", "B - A", "95% interval", "p", "p (boot.)", "*"]
    rows = [
        [one_line(one.dataset), one_line(one.task), metric.name, *_numbers(metric)]
        for one in comparisons
        for metric in one.metrics
    ]
    # The name of a single dataset is in the headings.
    skipped = int(len({one.dataset for one in comparisons}) == 1)
    return Table(header[skipped:], [row[skipped:] for row in rows], names=3 - skipped)


def _numbers(metric: MetricComparison) -> list[str]:
    def signed(value: float) -> str:
        text = as_number(value)
        # No sign if all digits are zero.
        return text.lstrip("-") if not text.strip("-0.") else f"{'+' if value > 0 else ''}{text}"

    as_number = METRICS[metric.name].as_text
    is_significant = max(metric.p_permutation, metric.p_bootstrap) <= SIGNIFICANCE
    return [
        as_number(metric.first),
        as_number(metric.second),
        signed(metric.second - metric.first),
        f"{signed(metric.low)} to {signed(metric.high)}",
        f"{metric.p_permutation:.3f}",
        f"{metric.p_bootstrap:.3f}",
        "*" if is_significant else "",
    ]


def _labels(one: TaskComparison, *, sign: int) -> list[str]:
    rows = [row for row in one.labels if (row.second - row.first) * sign > 0][:LABELS_SHOWN]
    return [
        f"{shown_label(row.label)} {100 * row.first:.2f} -> {100 * row.second:.2f} ({row.support})" for row in rows
    ]


def _sentence(change: ChangedSentence) -> Iterator[str]:
    what = "better" if change.gain > 0 else "worse" if change.gain < 0 else "as good"
    yield f"{one_line(change.source)} ({what}): {one_line(shorten(' '.join(change.words), _TEXT_SHOWN))}"
    for word, gold, first, second in change.items:
        place = "" if len(change.words) == 1 or word == " ".join(change.words) else f"{word}: "
        yield one_line(f"  {place}A {_shown(first)}, B {_shown(second)}, gold {_shown(gold)}")


def _shown(label: Any) -> str:
    """A label, an arc, a number or a distribution as text."""
    if isinstance(label, tuple | list):
        return " ".join(map(_shown, label))
    return f"{label:.4g}" if isinstance(label, float) else shown_label(str(label))
