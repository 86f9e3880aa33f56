"""Scores of each type of spans, and which types are confused."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from machamp_lite.data.span_schemes import BIO, Scheme
from machamp_lite.metrics.label_report import NONE, LabelRow, LabelScores
from machamp_lite.metrics.span_f1 import span_sets

# The type of spans without a type, which are words.
UNTYPED = "word"


class SpanScores(LabelScores):
    """The scores of each type of spans. A span is correct if its start, end and type are, as for ``span_f1``.

    A predicted span with the ends of a gold span but another type is a confusion of the two types. Other spans that are
    only gold or only predicted are paired with ``NONE``.

    >>> scores = SpanScores()
    >>> scores.add(["B-per", "I-per", "O", "B-loc"], ["B-per", "O", "O", "B-org"])
    >>> scores.confusions(3)
    [('(none)', 'per', 1), ('loc', 'org', 1), ('per', '(none)', 1)]
    """

    unit = "span"
    compares_classes = False
    only_annotated = False
    has_confusions = True

    def __init__(self, scheme: Scheme = BIO) -> None:
        super().__init__(exclusive=False)
        self.scheme = scheme

    def means(self) -> list[LabelRow]:
        """The micro and macro scores, which are those of ``span_f1`` and ``span_f1_macro``."""
        return [self.micro(), self.macro()]

    def names(self, labels: Iterable[str]) -> set[str]:
        """The types in labels."""
        return {self.scheme.parse(label)[1] or UNTYPED for label in labels}

    def _count(self, gold: Sequence[Any], predicted: Sequence[str]) -> Iterator[tuple[str, str]]:
        sets = span_sets(self.scheme, gold, predicted)
        in_gold, in_predicted = ({(start, end): kind or UNTYPED for start, end, kind in spans} for spans in sets)
        for ends in in_gold.keys() | in_predicted.keys():
            yield in_gold.get(ends, NONE), in_predicted.get(ends, NONE)
