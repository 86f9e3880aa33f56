"""Scores of the spans of labels such as ``B-PER``."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self

from machamp_lite.data.span_schemes import BIO, OUTSIDE, Scheme, Span, scheme_of
from machamp_lite.metrics.base import Metric, f1, ratio


def span_sets(
    scheme: Scheme, gold: Sequence[str | None], predicted: Sequence[str]
) -> tuple[set[Span], set[Span]]:
    """The gold and the predicted spans of a sentence.

    Spans are left out if they contain, or are next to, a word without annotation, None in ``gold``.
    """
    gaps = {position for position, label in enumerate(gold) if label is None}
    in_gold = set(scheme.spans([label or OUTSIDE for label in gold]))
    # Most sentences of a good model are correct, and comparing lists is much faster than parsing spans.
    in_predicted = in_gold if predicted == gold else set(scheme.spans(predicted))
    if not gaps:
        return in_gold, in_predicted
    return {span for span in in_gold if _is_apart(span, gaps)}, {span for span in in_predicted if _is_apart(span, gaps)}


def _is_apart(span: Span, gaps: set[int]) -> bool:
    """Whether no gap is in a span or next to it."""
    return gaps.isdisjoint(range(span[0] - 1, span[1] + 1))


class SpanF1(Metric[Any]):
    """F1 over spans. A span is correct if its start, end and type are correct, as in the strict mode of seqeval.

    Gold and predicted spans are left out if they contain, or are next to, a word that is not annotated.

    >>> metric = SpanF1()
    >>> metric.add(["B-per", "I-per", "O", "B-loc"], ["B-per", "O", "O", "B-loc"])
    >>> metric.value()
    0.5
    """

    name = "span_f1"
    only_annotated = False

    def __init__(self, scheme: Scheme = BIO) -> None:
        super().__init__()
        self.scheme = scheme

    @classmethod
    def for_task(cls, config: Any) -> Self:
        """The metric for the span scheme of a task."""
        return cls(scheme_of(config))

    def value(self) -> float:
        return f1(*self._totals("correct", "gold", "predicted"))

    def precision(self) -> float:
        """The share of predicted spans that are gold."""
        return ratio(*self._totals("correct", "predicted"))

    def recall(self) -> float:
        """The share of gold spans that are predicted."""
        return ratio(*self._totals("correct", "gold"))

    def parts(self) -> dict[str, float]:
        """Precision and recall."""
        return {"precision": self.precision(), "recall": self.recall()}

    def _totals(self, *what: str) -> list[int]:
        return [sum(count for (key, _), count in self.counts.items() if key == name) for name in what]

    def _count(self, gold: Sequence[str | None], predicted: Sequence[str]) -> Counter[tuple[str, str]]:
        in_gold, in_predicted = span_sets(self.scheme, gold, predicted)
        counts = Counter(("gold", kind) for _, _, kind in in_gold)
        counts.update(("predicted", kind) for _, _, kind in in_predicted)
        counts.update(("correct", kind) for _, _, kind in in_gold & in_predicted)
        gaps = gold.count(None)
        if not gaps:
            # Labels that mark a span but are in none. Some files write "_" instead of O. Next to a gap, a label may be
            # in a span that is left out.
            marked = len(gold) - gold.count(OUTSIDE) - gold.count("_")
            counts["unread", ""] = marked - sum(end - start for start, end, _ in in_gold)
        counts["labels", ""] = len(gold) - gaps
        return counts

    def warning(self) -> str | None:
        """A warning about gold labels that are neither outside nor in a span of the scheme; None if there are none."""
        unread, labels, name = self.counts["unread", ""], self.counts["labels", ""], self.scheme.name
        if not unread:
            return None
        return (
            f"{unread} of {labels} gold labels are neither outside nor in a span of the scheme {name}, in "
            f"which the model was trained; {self.name} does not count them; convert the labels to {name}"
        )


class SpanPrecision(SpanF1):
    """The share of predicted spans that are gold.

    >>> metric = SpanPrecision()
    >>> metric.add(["B-per", "I-per", "O", "B-loc"], ["B-per", "I-per", "O", "O"])
    >>> metric.value()
    1.0
    """

    name = "span_precision"
    value = SpanF1.precision


class SpanRecall(SpanF1):
    """The share of gold spans that are predicted.

    >>> metric = SpanRecall()
    >>> metric.add(["B-per", "I-per", "O", "B-loc"], ["B-per", "I-per", "O", "O"])
    >>> metric.value()
    0.5
    """

    name = "span_recall"
    value = SpanF1.recall


class SpanMacroF1(SpanF1):
    """The mean, over types that are gold or predicted, of the F1 of the spans of a type.

    >>> metric = SpanMacroF1()
    >>> metric.add(["B-per", "I-per", "O", "B-loc"], ["B-per", "I-per", "O", "O"])
    >>> metric.value()
    0.5
    """

    name = "span_f1_macro"

    def value(self) -> float:
        return self._mean(lambda kind: f1(*(self.counts[what, kind] for what in ("correct", "gold", "predicted"))))

    def precision(self) -> float:
        """The mean of the precision of each type."""
        return self._mean(lambda kind: ratio(self.counts["correct", kind], self.counts["predicted", kind]))

    def recall(self) -> float:
        """The mean of the recall of each type."""
        return self._mean(lambda kind: ratio(self.counts["correct", kind], self.counts["gold", kind]))

    def _mean(self, score: Callable[[str], float]) -> float:
        # Sorted, so that the sum of floats is the same in every run.
        kinds = sorted({kind for what, kind in self.counts if what in ("gold", "predicted")})
        return ratio(sum(map(score, kinds)), len(kinds))


class SpanMacroPrecision(SpanMacroF1):
    """The mean of the precision of each type."""

    name = "span_precision_macro"
    value = SpanMacroF1.precision


class SpanMacroRecall(SpanMacroF1):
    """The mean of the recall of each type."""

    name = "span_recall_macro"
    value = SpanMacroF1.recall
