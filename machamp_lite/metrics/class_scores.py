"""Precision, recall and F of classes, averaged in the four ways of scikit-learn."""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from machamp_lite.metrics.base import LabelPairs, Metric, f_beta, ratio
from machamp_lite.metrics.label_report import NONE

SCORES = ("precision", "recall", "f1", "fbeta")
AVERAGES = ("micro", "macro", "weighted", "binary")
# Names of the positive label and of the other one, in small letters.
_POSITIVE = {"1", "yes", "y", "true", "t", "positive", "pos", "+"}
_NEGATIVE = {"0", "no", "n", "false", "f", "negative", "neg", "-", "-1"}


class ClassScore(LabelPairs, Metric[str]):
    """A score of classes: of all decisions, the mean over classes, that weighted by support, or of the positive class.

    A class is scored if it is gold or predicted. A score is 0 if its denominator is 0.
    """

    compares_classes = True
    score: ClassVar[str]
    average: ClassVar[str]

    def __init__(self, *, positive_label: str | None = None, beta: float = 1.0) -> None:
        super().__init__()
        self.positive_label = positive_label
        self.beta = beta

    @classmethod
    def for_task(cls, config: Any) -> Self:
        """The metric for the ``positive_label`` and ``beta`` of a task."""
        return cls(positive_label=config.positive_label, beta=config.beta)

    def value(self) -> float:
        return self._averaged(self.score)

    def parts(self) -> dict[str, float]:
        """For F1, precision and recall; for its mean over classes, also all three scores of each class."""
        if self.score != "f1":
            return {}
        parts = {f"{score}_{self.average}": self._averaged(score) for score in ("precision", "recall")}
        if self.average == "macro":
            gold, predicted = self.marginals()
            for label in sorted((gold.keys() | predicted.keys()) - {NONE}):
                counts = self.counts[label, label], gold[label], predicted[label]
                parts |= {f"{score}_{label}": self._of(score, *counts) for score in ("precision", "recall", "f1")}
        return parts

    def _averaged(self, score: str) -> float:
        gold, predicted = self.marginals()
        # Sorted, so that the sum of floats is the same in every run.
        labels = sorted((gold.keys() | predicted.keys()) - {NONE})
        if self.average == "binary":
            # Training sets the label; a model of an older version has none.
            candidates = labels if len(labels) <= 2 else gold.keys() - {NONE}
            positive = self.positive_label or default_positive_label(candidates)
            return self._of(score, self.counts[positive, positive], gold[positive], predicted[positive])
        if self.average == "micro":
            correct = sum(self.counts[label, label] for label in labels)
            totals = (sum(side[label] for label in labels) for side in (gold, predicted))
            return self._of(score, correct, *totals)
        weights = [gold[label] if self.average == "weighted" else 1 for label in labels]
        values = [self._of(score, self.counts[label, label], gold[label], predicted[label]) for label in labels]
        return ratio(sum(weight * value for weight, value in zip(weights, values, strict=True)), sum(weights))

    def _of(self, score: str, correct: int, gold: int, predicted: int) -> float:
        if score == "precision":
            return ratio(correct, predicted)
        if score == "recall":
            return ratio(correct, gold)
        return f_beta(correct, gold, predicted, beta=self.beta if score == "fbeta" else 1.0)


def default_positive_label(labels: Iterable[str]) -> str:
    """The positive one of such labels as yes and no, else the last one in sorted order; empty without labels.

    >>> default_positive_label(["-", "+"]), default_positive_label(["spam", "ham"])
    ('+', 'spam')
    """
    labels = sorted(labels)
    if is_clear(labels):
        return next(label for label in labels if label.casefold() in _POSITIVE)
    return labels[-1] if labels else ""


def is_clear(labels: Iterable[str]) -> bool:
    """Whether two labels are such as yes and no, so that one is clearly the positive label.

    >>> is_clear(["No", "Yes"]), is_clear(["entailment", "not_entailment"])
    (True, False)
    """
    small = {label.casefold() for label in labels}
    return len(small) == 2 and bool(small & _POSITIVE) and bool(small & _NEGATIVE)


CLASS_SCORES: list[type[ClassScore]] = [
    type(f"{score}_{average}", (ClassScore,), {"name": f"{score}_{average}", "score": score, "average": average})
    for score in SCORES
    for average in AVERAGES
]
