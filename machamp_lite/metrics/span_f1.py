"""Scores of the spans of labels such as ``B-PER``."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

from machamp_lite.data.span_schemes import BIO, OUTSIDE, Scheme, scheme_of
from machamp_lite.metrics.base import Metric, f1, ratio


class SpanF1(Metric[str]):
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
        return f1(self.counts["correct"], self.counts["gold"], self.counts["predicted"])

    def precision(self) -> float:
        """The share of predicted spans that are gold."""
        return ratio(self.counts["correct"], self.counts["predicted"])

    def recall(self) -> float:
        """The share of gold spans that are predicted."""
        return ratio(self.counts["correct"], self.counts["gold"])

    def parts(self) -> dict[str, float]:
        """Precision and recall."""
        return {"precision": self.precision(), "recall": self.recall()}

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Counter[str]:
        if None in gold:
            return self._count_around_gaps(gold, predicted)
        in_gold = set(self.scheme.spans(gold))
        # Most sentences of a good model are correct, and comparing lists is much faster than parsing spans.
        in_predicted = in_gold if predicted == gold else set(self.scheme.spans(predicted))
        # Labels that mark a span but are in none. Some files write "_" instead of O.
        marked = len(gold) - gold.count(OUTSIDE) - gold.count("_")
        unread = marked - sum(end - start for start, end, _ in in_gold)
        counts = {
            "gold": len(in_gold),
            "predicted": len(in_predicted),
            "correct": len(in_gold & in_predicted),
        }
        return Counter({**counts, "unread": unread, "labels": len(gold)})

    def _count_around_gaps(self, gold: Sequence[str | None], predicted: Sequence[str]) -> Counter[str]:
        """The counts of a sentence in which some words are not annotated."""
        gaps = {position for position, label in enumerate(gold) if label is None}
        outside_gaps = [OUTSIDE if label is None else label for label in gold]
        in_gold, in_predicted = (
            {span for span in self.scheme.spans(labels) if gaps.isdisjoint(range(span[0] - 1, span[1] + 1))}
            for labels in (outside_gaps, predicted)
        )
        counts = {"gold": len(in_gold), "predicted": len(in_predicted), "correct": len(in_gold & in_predicted)}
        # A label next to a gap may be in a span that is left out, so none counts as unread.
        return Counter({**counts, "labels": len(gold) - len(gaps)})

    def warning(self) -> str | None:
        """A warning about gold labels that are neither outside nor in a span of the scheme; None if there are none."""
        unread, name = self.counts["unread"], self.scheme.name
        if not unread:
            return None
        return (
            f"{unread} of {self.counts['labels']} gold labels are neither outside nor in a span of the scheme {name}, "
            f"in which the model was trained; {self.name} does not count them; convert the labels to {name}"
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
