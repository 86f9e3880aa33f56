"""The metric over the spans that BIO tags mark."""

from collections import Counter
from collections.abc import Sequence

from machamp_lite.metrics.base import Metric, f1

Span = tuple[int, int, str]


class SpanF1(Metric[str]):
    """F1 over the spans that BIO tags mark, right only if start, end and type are (see `spans`).

    This is what seqeval (Nakayama 2018) calls the strict mode of the scheme IOB2.

    >>> metric = SpanF1()
    >>> metric.add(["B-per", "I-per", "O", "B-loc"], ["B-per", "O", "O", "B-loc"])
    >>> metric.value()
    0.5
    """

    name = "span_f1"

    def value(self) -> float:
        return f1(self.counts["correct"], self.counts["gold"], self.counts["predicted"])

    def _count(self, gold: Sequence[str], predicted: Sequence[str]) -> Counter[str]:
        in_gold, in_predicted = set(spans(gold)), set(spans(predicted))
        return Counter(gold=len(in_gold), predicted=len(in_predicted), correct=len(in_gold & in_predicted))


def spans(tags: Sequence[str]) -> list[Span]:
    """Return the (start, end, type) of all spans of a sentence of BIO tags, the end exclusive.

    Only a B opens a span, and only an I of the same type continues it. An I that continues nothing is
    outside, as is any tag that is neither B nor I.

    >>> spans(["B-per", "I-per", "I-loc", "B-loc", "O", "I-loc"])
    [(0, 2, 'per'), (3, 4, 'loc')]
    """
    found: list[Span] = []
    in_span = False
    for position, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "B":
            found.append((position, position + 1, kind))
            in_span = True
        elif in_span and mark == "I" and found[-1][2] == kind:
            found[-1] = (found[-1][0], position + 1, kind)
        else:
            in_span = False
    return found
