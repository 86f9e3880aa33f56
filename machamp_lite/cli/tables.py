"""Tables of scores for the terminal."""

from collections.abc import Mapping
from unicodedata import combining, east_asian_width

from machamp_lite.errors import shown_label
from machamp_lite.inference.evaluation import MetricTracker, Scores
from machamp_lite.metrics import METRICS
from machamp_lite.metrics.label_report import LOW_RECALL, LabelRow, LabelScores

# Tasks with more labels have no table on the terminal.
MAX_LABELS = 30
# Labels are not cut to fewer columns: "weighted" needs them.
MIN_LABEL_WIDTH = 8

_HEADER = ("precision", "recall", "f1", "support")
_BOLD, _RED, _PLAIN = "\033[1m", "\033[31m", "\033[0m"


def label_tables(
    trackers: Mapping[str, MetricTracker], *, width: int | None = None, colour: bool = False
) -> list[str]:
    """The lines of one table per task with the scores of its labels, unless it has too many of them."""
    lines = []
    for dataset, tracker in trackers.items():
        for task, scores in tracker.label_scores().items():
            number = len(scores.rows())
            if number > MAX_LABELS:
                lines += ["", f"{dataset} {task}: {number} labels, see the .eval file"]
            else:
                lines += ["", f"{dataset} {task}", *label_table(scores, width=width, colour=colour)]
    return lines


def label_table(scores: LabelScores, *, width: int | None = None, colour: bool = False) -> list[str]:
    """The lines of a table in percent, labels with most support first; labels with a low recall are marked.

    Labels are cut so that no line is wider than ``width`` columns of a terminal, but not to fewer than eight columns.
    ``colour`` adds ANSI codes and changes nothing else.
    """
    rows, means = scores.rows(), [scores.macro(), scores.weighted()]
    cells = [_HEADER, *map(_cells, [*rows, *means])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    # Two spaces before each number, and a space and the mark at the end.
    most = max(MIN_LABEL_WIDTH, width - sum(widths) - 2 * len(widths) - 2) if width is not None else None
    labels = ["label", *(shown_label(row.label) for row in rows), *(row.label for row in means)]
    labels = [_cut(label, most) for label in labels]
    longest = max(map(_count_columns, labels))
    lines = [
        "  ".join([label + " " * (longest - _count_columns(label)), *map(str.rjust, numbers, widths)])
        for label, numbers in zip(labels, cells, strict=True)
    ]
    for number, row in enumerate(rows, start=1):
        if row.is_low:
            lines[number] = f"{_RED}{lines[number]} !{_PLAIN}" if colour else f"{lines[number]} !"
    if colour:
        lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
    legend = [f"! recall below {LOW_RECALL:.0%}"] if any(row.is_low for row in rows) else []
    return [*lines[:-2], "", *lines[-2:], *legend]


def score_table(
    scores: Mapping[str, Scores], counts: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None
) -> list[str]:
    """The lines of a table with dataset, task, metric and value.

    With ``counts`` by dataset and task, also the number of sentences that were scored and skipped, if any were skipped.
    """
    counts = counts or {}
    has_skipped = any(task["skipped"] for tasks in counts.values() for task in tasks.values())
    kinds = ("scored", "skipped") if has_skipped else ()
    rows = [
        (
            *(dataset, task, metric, METRICS[metric].as_text(value)),
            *(str(counts[dataset][task][kind]) for kind in kinds),
        )
        for dataset, tasks in scores.items()
        for task, values in tasks.items()
        for metric, value in values.items()
    ]
    header = ("dataset", "task", "metric", "score", *kinds)
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  ".join([*map(str.ljust, row[:3], widths[:3]), *map(str.rjust, row[3:], widths[3:])])
        for row in [header, *rows]
    ]


def _cells(row: LabelRow) -> tuple[str, ...]:
    return (*(f"{100 * score:.2f}" for score in (row.precision, row.recall, row.f1)), str(row.support))


def _count_columns(text: str) -> int:
    """The number of columns of a terminal that a text takes."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _cut(text: str, most: int | None) -> str:
    """A text, cut to a number of columns."""
    if most is None or _count_columns(text) <= most:
        return text
    while _count_columns(text) > most - 1:
        text = text[:-1]
    return f"{text}…"
