"""Scores of each label of a task, and which labels are confused."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from machamp_lite.errors import counted
from machamp_lite.metrics.base import LabelPairs, f1, ratio

# The number of labels in the confusion matrix of a scores file, and of the most frequent confusions in it.
CONFUSED_LABELS = 20
CONFUSIONS = 20
LOW_RECALL = 0.5
# Paired with a label that is only gold or only predicted. It has no scores.
NONE = "(none)"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """Scores from 0 to 1 of one label, or their means over labels; support is the number of gold items."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int

    @property
    def is_low(self) -> bool:
        """Whether fewer than half of the gold items are predicted."""
        return self.support > 0 and self.recall < LOW_RECALL


class LabelScores(LabelPairs):
    """The scores of each label, from counts of pairs of a gold and a predicted label.

    If labels are ``exclusive``, so that each item has one, all micro scores are the accuracy, and are left out.

    >>> scores = LabelScores()
    >>> scores.add(["a", "a", "b", "c"], ["a", "a", "a", "c"])
    >>> [(row.label, row.recall, row.support) for row in scores.rows()]
    [('a', 1.0, 2), ('b', 0.0, 1), ('c', 1.0, 1)]
    """

    # What has scores of its own, for the scores file.
    unit: ClassVar[str] = "label"
    # As for metrics: whether items are classes, and not the labels as they are written.
    compares_classes: ClassVar[bool] = True

    def __init__(self, *, exclusive: bool = True) -> None:
        super().__init__()
        self.exclusive = exclusive

    @property
    def has_confusions(self) -> bool:
        """Whether a wrong label takes the place of another one."""
        return self.exclusive

    def names(self, labels: Iterable[str]) -> set[str]:
        """The names that labels of the vocabulary have in the rows."""
        return set(labels)

    def rows(self) -> list[LabelRow]:
        """Scores of each label that is gold or predicted, by descending support, then by name.

        A score is 0 if its denominator is 0.
        """
        in_gold, in_predicted = self.marginals()
        rows = []
        for label in (in_gold.keys() | in_predicted.keys()) - {NONE}:
            rows.append(_row(label, self.counts[label, label], in_gold[label], in_predicted[label]))
        return sorted(rows, key=lambda row: (-row.support, row.label))

    def means(self) -> list[LabelRow]:
        """The micro, macro and weighted scores."""
        return [*([] if self.exclusive else [self.micro()]), self.macro(), self.weighted()]

    def micro(self) -> LabelRow:
        """The scores of all decisions together."""
        in_gold, in_predicted = self.marginals()
        correct = sum(count for (gold, predicted), count in self.counts.items() if gold == predicted)
        gold, predicted = (counts.total() - counts[NONE] for counts in (in_gold, in_predicted))
        return _row("micro", correct, gold, predicted)

    def macro(self) -> LabelRow:
        """The means over labels, each with the same weight."""
        rows = self.rows()
        return _mean("macro", rows, [1] * len(rows))

    def weighted(self) -> LabelRow:
        """The means over labels, weighted by support."""
        rows = self.rows()
        return _mean("weighted", rows, [row.support for row in rows])

    def confusion(self, most: int) -> tuple[list[str], list[list[int]]]:
        """The labels, and the confusion matrix with gold labels in its rows and predicted ones in its columns.

        Labels are in the order of ``rows``. If there are more than ``most``, those with the most errors (as gold or as
        predicted), then with the most support, are kept. The last row and column sum up all other labels, including
        their confusions with each other. *Shape:* (L,), (L, L), L at most ``most`` + 1.
        """
        labels = [row.label for row in self.rows()]
        if any(NONE in pair for pair in self.counts):
            labels.append(NONE)
        errors = Counter[str]()
        for (gold, predicted), count in self.counts.items():
            if gold != predicted:
                errors.update({gold: count, predicted: count})
        # The sort is stable: labels with the same number of errors stay in the order of support.
        kept = set(sorted(labels, key=lambda label: -errors[label])[:most])
        names = [label for label in labels if label in kept]
        indices = {label: index for index, label in enumerate(names)}
        if others := len(labels) - len(names):
            names.append(f"({counted(others, 'other')})")
        matrix = [[0] * len(names) for _ in names]
        for (gold, predicted), count in self.counts.items():
            matrix[indices.get(gold, -1)][indices.get(predicted, -1)] += count
        return names, matrix

    def confusions(self, most: int) -> list[tuple[str, str, int]]:
        """The most frequent pairs of a gold and another predicted label with their counts, the first ones by name."""
        wrong = [(gold, predicted, count) for (gold, predicted), count in self.counts.items() if gold != predicted]
        return sorted(wrong, key=lambda pair: (-pair[2], *pair[:2]))[:most]

    def as_json(self) -> dict[str, Any]:
        """The scores of all labels, their means, and what is confused most."""
        labels, matrix = self.confusion(CONFUSED_LABELS)
        return {
            "unit": self.unit,
            "labels": {row.label: _numbers(row) for row in self.rows()},
            **{row.label: _numbers(row) for row in self.means()},
            "confusion": {"labels": labels, "matrix": matrix},
            "confusions": [
                {"gold": gold, "predicted": predicted, "count": count}
                for gold, predicted, count in self.confusions(CONFUSIONS)
            ],
        }


def _row(name: str, correct: int, gold: int, predicted: int) -> LabelRow:
    return LabelRow(name, ratio(correct, predicted), ratio(correct, gold), f1(correct, gold, predicted), gold)


def _mean(name: str, rows: Sequence[LabelRow], weights: Sequence[int]) -> LabelRow:
    def mean(values: Sequence[float]) -> float:
        return ratio(sum(weight * value for weight, value in zip(weights, values, strict=True)), sum(weights))

    return LabelRow(
        name,
        precision=mean([row.precision for row in rows]),
        recall=mean([row.recall for row in rows]),
        f1=mean([row.f1 for row in rows]),
        support=sum(row.support for row in rows),
    )


def _numbers(row: LabelRow) -> dict[str, float]:
    return {name: value for name, value in asdict(row).items() if name != "label"}
