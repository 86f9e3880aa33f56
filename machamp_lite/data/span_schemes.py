"""Span schemes: which labels such as ``B-PER`` start, continue and end spans, and which may follow each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

# Start, end (exclusive) and type.
Span = tuple[int, int, str]
# The mark of one word, the mark of the next word, and whether both have the same type.
_Step = tuple[str, str, bool]

AUTO = "auto"
OUTSIDE = "O"
# Takes the place of a label before the first and after the last label of a sentence. No label is empty.
EDGE = ""
# Older names of the same schemes.
ALIASES = {"IOB2": "BIO", "IOBES": "BIOES", "BILUO": "BILOU"}


@dataclass(frozen=True, slots=True)
class Scheme:
    """Rules for pairs of adjacent labels, as in the strict mode of seqeval (Nakayama 2018).

    ``marks`` maps the marks of the scheme to those used in the rules. A label with another mark is outside.
    """

    name: str
    marks: Mapping[str, str]
    starts: frozenset[_Step]
    continues: frozenset[_Step]
    ends: frozenset[_Step]

    def parse(self, label: str) -> tuple[str, str]:
        """The mark as used in the rules, and the type.

        >>> SCHEMES["BILOU"].parse("U-per"), SCHEMES["BIO"].parse("U-per")
        (('S', 'per'), ('O', 'per'))
        """
        return _parse(self.name, label)

    def has_mark(self, label: str) -> bool:
        """Whether the label is ``O`` or has a mark of the scheme."""
        return label == OUTSIDE or label.partition("-")[0] in self.marks

    def marks_span(self, label: str) -> bool:
        """Whether a word with this label is in a span."""
        return self.parse(label)[0] != OUTSIDE

    def allows(self, before: str, label: str) -> bool:
        """Whether ``label`` may follow ``before``; either may be ``EDGE``.

        >>> SCHEMES["BIO"].allows("B-per", "I-loc"), SCHEMES["BIOES"].allows("B-per", EDGE)
        (False, False)
        """
        (old, old_kind), (new, kind) = self.parse(before), self.parse(label)
        step = (old, new, kind == old_kind)
        if step in self.continues:
            return True
        return (old == OUTSIDE or step in self.ends) and (new == OUTSIDE or step in self.starts)

    def starts_span(self, before: str, label: str) -> bool:
        """Whether a span starts at ``label`` after the label ``before``."""
        (old, old_kind), (new, kind) = self.parse(before), self.parse(label)
        return (old, new, kind == old_kind) in self.starts

    def always_starts_span(self, label: str) -> bool | None:
        """Whether a span starts at ``label`` after any label; None if this depends on the label before.

        >>> BIO.always_starts_span("B-per"), SCHEMES["IOB1"].always_starts_span("I-per")
        (True, None)
        """
        new = self.parse(label)[0]
        found = {(old, new, same) in self.starts for old in {*self.marks.values(), OUTSIDE} for same in (True, False)}
        return found.pop() if len(found) == 1 else None

    def continues_span(self, before: str, label: str) -> bool:
        """Whether the span that ``before`` is in goes on with ``label``."""
        (old, old_kind), (new, kind) = self.parse(before), self.parse(label)
        return (old, new, kind == old_kind) in self.continues

    def spans(self, labels: Sequence[str]) -> list[Span]:
        """The spans of a sentence; labels that break the scheme are read as in the strict mode of seqeval.

        >>> SCHEMES["IOB1"].spans(["I-per", "I-per", "B-per", "O", "I-loc"])
        [(0, 2, 'per'), (2, 3, 'per'), (4, 5, 'loc')]
        """
        found: list[Span] = []
        start, name = None, self.name
        before, kind = OUTSIDE, ""
        for position, label in enumerate([*labels, OUTSIDE]):
            # For speed: most words are outside of spans and follow such words.
            if label == OUTSIDE and before == OUTSIDE:
                continue
            mark, new_kind = _parse(name, label)
            step = (before, mark, new_kind == kind)
            if start is None or step not in self.continues:
                if start is not None and step in self.ends:
                    found.append((start, position, kind))
                start = position if step in self.starts else None
            before, kind = mark, new_kind
        return found

    def breaks(self, steps: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        """The pairs of adjacent labels that the scheme does not allow, with their counts."""
        return {
            (before, label): count
            for (before, label), count in steps.items()
            if not (self.has_mark(label) or label == EDGE) or not self.allows(before, label)
        }


@lru_cache(maxsize=2**14)
def _parse(name: str, label: str) -> tuple[str, str]:
    mark, _, kind = label.partition("-")
    return SCHEMES[name].marks.get(mark, OUTSIDE), kind


def _steps(text: str) -> Iterator[_Step]:
    """Expands pairs of marks: ``=`` means the same type, ``/`` another type, ``*`` any type, ``?`` any mark."""
    for pair in text.split():
        before, relation, mark = tuple(pair)
        for old in "BIESO" if before == "?" else before:
            for new in "BIESO" if mark == "?" else mark:
                for same in (True, False):
                    if relation == "*" or same == (relation == "="):
                        yield old, new, same


def _scheme(name: str, marks: Mapping[str, str], *, starts: str, continues: str, ends: str) -> Scheme:
    return Scheme(name, marks, *(frozenset(_steps(text)) for text in (starts, continues, ends)))


_FULL = {"starts": "?*B ?*S", "continues": "B=I B=E I=I I=E", "ends": "E*? S*?"}
# In the order of preference if labels fit several schemes.
SCHEMES = {
    scheme.name: scheme
    for scheme in (
        _scheme("BIO", {"B": "B", "I": "I"}, starts="?*B", continues="B=I I=I", ends="B*? I*?"),
        _scheme(
            "IOB1",
            {"B": "B", "I": "I"},
            starts="O*I B*I I/I I=B B=B",
            continues="B=I I=I",
            ends="I*? B*O B/I B=B",
        ),
        _scheme("BIOES", {"B": "B", "I": "I", "E": "E", "S": "S"}, **_FULL),
        _scheme("BILOU", {"B": "B", "I": "I", "L": "E", "U": "S"}, **_FULL),
        _scheme(
            "IOE2",
            {"I": "I", "E": "E"},
            starts="O*I O*E E*I E*E I/I I/E",
            continues="I=I I=E",
            ends="E*?",
        ),
    )
}
BIO = SCHEMES["BIO"]


def scheme_of(config: object) -> Scheme:
    """The scheme in a task's options; BIO if there is none or it was not recognised."""
    return SCHEMES.get(getattr(config, "scheme", AUTO), BIO)


def has_spans(config: object) -> bool:
    """Whether the labels of a task mark spans, by a scheme in its options or one that was recognised in training."""
    return getattr(config, "scheme", AUTO) != AUTO


def outside_label(labels: Sequence[str], scheme: Scheme) -> int | None:
    """The id of O, or of the first label that is outside of spans; None if all are in spans."""
    outside = [label for label in labels if not scheme.marks_span(label)]
    return labels.index(OUTSIDE if OUTSIDE in outside else outside[0]) if outside else None


def recognise(steps: Mapping[tuple[str, str], int]) -> Scheme:
    """The scheme that the fewest pairs of adjacent labels break; the first one if several are equal.

    >>> recognise({(EDGE, "I-per"): 1, ("I-per", EDGE): 1}).name
    'IOB1'
    """
    return min(SCHEMES.values(), key=lambda scheme: sum(scheme.breaks(steps).values()))
