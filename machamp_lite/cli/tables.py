"""Tables of scores for the terminal."""

from collections.abc import Mapping, Sequence
from unicodedata import combining, east_asian_width

from machamp_lite.errors import counted, shown_label
from machamp_lite.inference.evaluation import MetricTracker, Scores
from machamp_lite.metrics import METRICS
from machamp_lite.metrics.label_report import LOW_RECALL, LabelRow, LabelScores

# A table of more labels has the most frequent ones, and of the others those with the lowest F1.
MAX_LABELS = 30
FREQUENT_LABELS = 10
WORST_LABELS = 10
# Labels with fewer gold items are not among those with the lowest F1, which would be mere chance.
MIN_SUPPORT = 5
# Tasks with more labels have a list of confusions instead of a matrix.
MAX_MATRIX = 12
CONFUSIONS = 5
# Where the width of the terminal is not known.
DEFAULT_WIDTH = 120
# Labels are not cut to fewer columns: "weighted" needs them.
MIN_LABEL_WIDTH = 8

_HEADER = ("precision", "recall", "f1", "support")
_BOLD, _RED, _PLAIN = "\033[1m", "\033[31m", "\033[0m"


def label_tables(
    trackers: Mapping[str, MetricTracker], *, width: int | None = None, colour: bool = False
) -> list[str]:
    """The lines of one table per task with the scores of its labels, each followed by what is confused."""
    lines = []
    for dataset, tracker in trackers.items():
        for task, scores in tracker.label_scores().items():
            lines += ["", f"{dataset} {task}", *label_table(scores, width=width, colour=colour)]
            if confusions := confusion_lines(scores, width=width):
                lines += ["", f"{dataset} {task}: confusions", *confusions]
    return lines


def label_table(scores: LabelScores, *, width: int | None = None, colour: bool = False) -> list[str]:
    """The lines of a table in percent, labels with most support first; labels with a low recall are marked.

    Of more than ``MAX_LABELS`` labels, the most frequent ones are shown, and those with the lowest F1. Labels are cut
    so that no line is wider than ``width`` columns of a terminal, but not to fewer than eight columns. ``colour`` adds
    ANSI codes and changes nothing else.
    """
    frequent, worst = _shown_rows(scores.rows())
    rows, means = [*frequent, *worst], scores.means()
    numbers = list(zip(_HEADER, *map(_cells, [*rows, *means]), strict=True))
    widths = [max(map(len, column)) for column in numbers]
    # Two spaces before each number, and a space and the mark at the end.
    most = max(MIN_LABEL_WIDTH, width - sum(widths) - 2 * len(widths) - 2) if width is not None else None
    labels = [scores.unit, *(shown_label(row.label) for row in rows), *(row.label for row in means)]
    lines = _aligned([[_cut(label, most) for label in labels], *numbers])
    for number, row in enumerate(rows, start=1):
        if row.is_low:
            lines[number] = f"{_RED}{lines[number]} !{_PLAIN}" if colour else f"{lines[number]} !"
    if colour:
        lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
    header, *body = lines
    shown = body[: len(frequent)]
    if worst:
        title = f"lowest f1 of the others, with a support of at least {MIN_SUPPORT}:"
        shown += ["", title, *body[len(frequent) : len(rows)]]
    legend = [f"! recall below {LOW_RECALL:.0%}"] if any(row.is_low for row in rows) else []
    if hidden := len(scores.rows()) - len(rows):
        legend.append(f"{counted(hidden, 'label')} not shown, see the .eval file")
    return [header, *shown, "", *body[len(rows) :], *legend]


def _shown_rows(rows: Sequence[LabelRow]) -> tuple[Sequence[LabelRow], Sequence[LabelRow]]:
    """The rows of the most frequent labels, and of the others those with the lowest F1."""
    if len(rows) <= MAX_LABELS:
        return rows, []
    others = [row for row in rows[FREQUENT_LABELS:] if row.support >= MIN_SUPPORT]
    return rows[:FREQUENT_LABELS], sorted(others, key=lambda row: row.f1)[:WORST_LABELS]


def confusion_lines(scores: LabelScores, *, width: int | None = None) -> list[str]:
    """The lines of the confusion matrix, or a list of the most frequent confusions if there are too many labels for it.

    A matrix that does not fit ``width`` columns of a terminal becomes a list too. Empty without confusions.
    """
    pairs = scores.confusions(CONFUSIONS)
    if not pairs or not scores.has_confusions:
        return []
    labels, matrix = scores.confusion(MAX_MATRIX)
    if len(labels) <= MAX_MATRIX:
        names = [shown_label(label) for label in labels]
        by_predicted = zip(names, zip(*matrix, strict=True), strict=True)
        columns = [["gold \\ predicted", *names], *([name, *map(str, counts)] for name, counts in by_predicted)]
        lines = _aligned(columns)
        if _count_columns(lines[0]) <= (DEFAULT_WIDTH if width is None else width):
            return lines
    number = len(str(pairs[0][2]))
    return [f"{count:>{number}}  {shown_label(gold)} -> {shown_label(predicted)}" for gold, predicted, count in pairs]


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


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, given by columns; the first one is aligned at the left, the others at the right."""
    widths = [max(map(_count_columns, column)) for column in columns]
    filled = [
        [_padded(cell, width, left=not number) for cell in column]
        for number, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]
    return ["  ".join(row) for row in zip(*filled, strict=True)]


def _padded(text: str, width: int, *, left: bool = True) -> str:
    """A text, filled with spaces on its right or, if it is not ``left``, on its left."""
    spaces = " " * (width - _count_columns(text))
    return text + spaces if left else spaces + text


def _cut(text: str, most: int | None) -> str:
    """A text, cut to a number of columns."""
    if most is None or _count_columns(text) <= most:
        return text
    while _count_columns(text) > most - 1:
        text = text[:-1]
    return f"{text}…"
