"""Scores of each label of a task, which labels are taken for which, and a table of them to read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self
from unicodedata import combining, east_asian_width

from machamp_lite.errors import shown_label

# So many labels have their own row in the confusions of a file of scores.
MOST_CONFUSED = 20
LOW_RECALL = 0.5
# Labels are cut to no less, which "weighted" needs.
NARROWEST = 8
# Stands where an item has a label on one side and none on the other; it is no label of its own.
NONE = "(none)"

_HEADER = ("precision", "recall", "f1", "support")
_BOLD, _RED, _PLAIN = "\033[1m", "\033[31m", "\033[0m"


@dataclass(frozen=True)
class LabelRow:
    """Scores of one label, or a mean over labels, from 0 to 1; support is the number of gold items."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int

    @property
    def is_low(self) -> bool:
        """Whether less than half of the gold items are found."""
        return self.support > 0 and self.recall < LOW_RECALL


class LabelScores:
    """Counts the pairs of a gold and a predicted label of items with one label each; the counts add up.

    >>> scores = LabelScores()
    >>> scores.add(["a", "a", "b", "c"], ["a", "a", "a", "c"])
    >>> [(row.label, row.recall, row.support) for row in scores.rows()]
    [('a', 1.0, 2), ('b', 0.0, 1), ('c', 1.0, 1)]
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, gold: Sequence[str], predicted: Sequence[str]) -> None:
        """Counts more items; raises ``ValueError`` where the two differ in length."""
        if len(gold) != len(predicted):
            raise ValueError(f"{len(gold)} gold items do not match {len(predicted)} predicted ones")
        self.counts.update(zip(gold, predicted, strict=True))

    def merge(self, other: Self) -> None:
        """Adds what another one has counted."""
        self.counts.update(other.counts)

    def rows(self) -> list[LabelRow]:
        """Scores of each label that is gold or predicted, most support first, then by name.

        Where there is nothing to divide by, a score is 0.
        """
        in_gold, in_predicted = self._marginals()
        rows = []
        for label in (in_gold.keys() | in_predicted.keys()) - {NONE}:
            correct, gold, predicted = self.counts[label, label], in_gold[label], in_predicted[label]
            f1 = 2 * correct / (gold + predicted)
            rows.append(LabelRow(label, _ratio(correct, predicted), _ratio(correct, gold), f1, gold))
        return sorted(rows, key=lambda row: (-row.support, row.label))

    def macro(self) -> LabelRow:
        """The means over labels, rare ones alike."""
        rows = self.rows()
        return _mean("macro", rows, [1] * len(rows))

    def weighted(self) -> LabelRow:
        """The means over labels, each as often as it is gold."""
        rows = self.rows()
        return _mean("weighted", rows, [row.support for row in rows])

    def confusion(self, most: int) -> tuple[list[str], list[list[int]]]:
        """Labels, and how often the label of a row (gold) is predicted as that of a column.

        They are in the order of ``rows``. Of more than ``most`` labels, those with the most errors (as gold or as
        predicted), then the most support, are kept; the others share one last row and column, whose diagonal also
        holds errors among themselves. *Shape:* (L), (L, L), L at most ``most`` + 1.
        """
        labels = [row.label for row in self.rows()]
        if any(NONE in pair for pair in self.counts):
            labels.append(NONE)
        errors = Counter[str]()
        for (gold, predicted), count in self.counts.items():
            if gold != predicted:
                errors.update({gold: count, predicted: count})
        # The sort is stable: those with as many errors stay in the order of support.
        kept = set(sorted(labels, key=lambda label: -errors[label])[:most])
        names = [label for label in labels if label in kept]
        places = {label: place for place, label in enumerate(names)}
        if others := len(labels) - len(names):
            names.append(f"({others} other{'s' if others > 1 else ''})")
        matrix = [[0] * len(names) for _ in names]
        for (gold, predicted), count in self.counts.items():
            matrix[places.get(gold, -1)][places.get(predicted, -1)] += count
        return names, matrix

    def as_json(self) -> dict[str, Any]:
        """All scores by label, the means, and the confusions of the labels with the most errors."""
        labels, matrix = self.confusion(MOST_CONFUSED)
        return {
            "labels": {row.label: _numbers(row) for row in self.rows()},
            "macro": _numbers(self.macro()),
            "weighted": _numbers(self.weighted()),
            "confusion": {"labels": labels, "matrix": matrix},
        }

    def as_table(self, width: int | None, colour: bool) -> list[str]:
        """Lines of a table in percent, most support first; labels of which less than half is found are marked.

        Labels are cut for no line to be wider than ``width`` columns of a terminal, but not to fewer than eight.
        ``colour`` adds ANSI codes and changes nothing else.
        """
        rows = self.rows()
        means = [self.macro(), self.weighted()]
        numbers = [_HEADER, *map(_cells, [*rows, *means])]
        widths = [max(map(len, column)) for column in zip(*numbers, strict=True)]
        # Two spaces before each number, and a space with the mark after the last.
        room = max(NARROWEST, width - sum(widths) - 2 * len(widths) - 2) if width is not None else None
        labels = ["label", *(shown_label(row.label) for row in rows), *(row.label for row in means)]
        names = [_cut(name, room) for name in labels]
        longest = max(map(_columns, names))
        lines = [
            "  ".join([name + " " * (longest - _columns(name)), *map(str.rjust, cells, widths)])
            for name, cells in zip(names, numbers, strict=True)
        ]
        low = [False, *(row.is_low for row in rows), False, False]
        lines = [f"{line} !" if is_low else line for line, is_low in zip(lines, low, strict=True)]
        if colour:
            lines = [
                f"{_RED}{line}{_PLAIN}" if is_low else line for line, is_low in zip(lines, low, strict=True)
            ]
            lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
        legend = [f"! recall below {LOW_RECALL:.0%}"] if any(low) else []
        return [*lines[:-2], "", *lines[-2:], *legend]

    def _marginals(self) -> tuple[Counter[str], Counter[str]]:
        """How often each label is gold and how often it is predicted."""
        in_gold, in_predicted = Counter[str](), Counter[str]()
        for (gold, predicted), count in self.counts.items():
            in_gold[gold] += count
            in_predicted[predicted] += count
        return in_gold, in_predicted


def _mean(name: str, rows: Sequence[LabelRow], weights: Sequence[int]) -> LabelRow:
    def mean(values: Sequence[float]) -> float:
        return _ratio(
            sum(weight * value for weight, value in zip(weights, values, strict=True)), sum(weights)
        )

    return LabelRow(
        name,
        precision=mean([row.precision for row in rows]),
        recall=mean([row.recall for row in rows]),
        f1=mean([row.f1 for row in rows]),
        support=sum(row.support for row in rows),
    )


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else 0.0


def _numbers(row: LabelRow) -> dict[str, float]:
    return {name: value for name, value in asdict(row).items() if name != "label"}


def _cells(row: LabelRow) -> tuple[str, ...]:
    return (*(f"{100 * score:.2f}" for score in (row.precision, row.recall, row.f1)), str(row.support))


def _columns(text: str) -> int:
    """The columns of a terminal that a text takes."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _cut(text: str, room: int | None) -> str:
    if room is None or _columns(text) <= room:
        return text
    while _columns(text) > room - 1:
        text = text[:-1]
    return f"{text}…"
