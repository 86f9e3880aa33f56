"""How sure a model is of the labels of a whole sentence, and of the spans in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from machamp_lite.data.span_schemes import Span


@dataclass(frozen=True, slots=True)
class Confidence:
    """The log-probability of all labels of a sentence together, their number, and the probability of each span."""

    log_probability: float
    items: int
    spans: tuple[tuple[Span, float], ...] = ()

    def as_text(self) -> str:
        """The probability of all labels, its geometric mean per item, and spans by the numbers of their words.

        >>> Confidence(math.log(0.25), 2, (((3, 6, "per"), 0.75), ((7, 8, ""), 0.5))).as_text()
        'all=0.2500|mean=0.5000|4-6:per=0.7500|8-8=0.5000'
        """
        mean = math.exp(self.log_probability / self.items) if self.items else 1.0
        values = {"all": math.exp(self.log_probability), "mean": mean}
        values |= {f"{start + 1}-{end}{':' * bool(kind)}{kind}": value for (start, end, kind), value in self.spans}
        return "|".join(f"{name}={value:.4f}" for name, value in values.items())


def join_confidences(parts: Sequence[Confidence]) -> Confidence:
    """The confidence of a sentence that is predicted in parts, as if they were independent."""
    spans, start = [], 0
    for part in parts:
        spans += [((first + start, end + start, kind), value) for (first, end, kind), value in part.spans]
        start += part.items
    return Confidence(sum(part.log_probability for part in parts), start, tuple(spans))
