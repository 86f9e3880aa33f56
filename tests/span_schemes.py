"""Span labels in every scheme, written from spans and independently of the code under test."""

from collections.abc import Sequence
from random import Random

from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, IOE2, Entities

SEQEVAL = {"BIO": IOB2, "IOB1": IOB1, "BIOES": IOBES, "BILOU": BILOU, "IOE2": IOE2}
MARKS = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES", "BILOU": "BILU", "IOE2": "IE"}
# For spans of several words: the first, inner and last one; and for spans of one word.
_SHAPES = {
    "BIO": ("B", "I", "I", "B"),
    "IOB1": ("I", "I", "I", "I"),
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
    "IOE2": ("I", "I", "E", "E"),
}
Span = tuple[int, int, str]


def random_spans(random: Random, words: int, kinds: Sequence[str] = ("a", "b")) -> list[Span]:
    """Spans of one to three words, some of them side by side."""
    found, place = [], 0
    while place < words:
        length = min(random.choice([1, 1, 2, 3]), words - place)
        if random.random() < 0.6:
            found.append((place, place + length, random.choice(kinds)))
        place += length
    return found


def labels_of(spans: Sequence[Span], words: int, scheme: str) -> list[str]:
    """The labels of a sentence with these spans."""
    first, inner, last, single = _SHAPES[scheme]
    labels = ["O"] * words
    for start, end, kind in spans:
        marks = [single] if end - start == 1 else [first, *[inner] * (end - start - 2), last]
        if scheme == "IOB1" and any((other[1], other[2]) == (start, kind) for other in spans):
            marks[0] = "B"
        labels[start:end] = [f"{mark}-{kind}" for mark in marks]
    return labels


def random_labels(random: Random, words: int, scheme: str) -> list[str]:
    """Any labels that have a mark of the scheme, or are outside."""
    known = ["O", *(f"{mark}-{kind}" for mark in MARKS[scheme] for kind in "ab")]
    return random.choices(known, k=words)


def seqeval_spans(labels: list[str], scheme: str) -> list[Span]:
    """The spans of a sentence as the strict mode of seqeval reads them."""
    (entities,) = Entities([labels], SEQEVAL[scheme]).entities
    return [(entity.start, entity.end, entity.tag) for entity in entities]
