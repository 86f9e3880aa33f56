"""``tok``: words from raw characters, learnt from ``# text`` comments and the words below them."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from torch import Tensor

from machamp_lite.config.task_types import TaskOptions, TokOptions
from machamp_lite.data.raw_text import Span
from machamp_lite.data.records import Record
from machamp_lite.decoders.base import LabelDecoder

_RANGE = re.compile(r"(\d+)-(\d+)\t([^\t\r\n]+)")
BEGIN, INSIDE, OUTSIDE = "B", "I", "O"


class Tok(LabelDecoder):
    """Says of each subword of the raw text at which of its characters words begin.

    Labels are the tags of all characters (B, I, or O for white space between words), so that ``span_f1`` is the F1 of
    words. The class of a subword are the places in it where words begin, as "0" or "0 2", so that no word is longer
    than what the encoder's subwords allow, and scripts without spaces are no special case.
    """

    Options = TokOptions
    # Labels are characters, and rows are subwords.
    one_row_per_label = False
    label_form = r"(\d{1,9}( \d{1,9})*)?"

    @classmethod
    def place(cls, task: str, config: TaskOptions) -> str:
        """Where the labels stand, for errors."""
        return "comment '# text = SENTENCE' that holds the words"

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str] | None:
        """The tag of each character of ``# text``; None if there is none, or if it does not hold the words."""
        text = record.comment("text")
        return None if text is None else tag_characters(text, record)

    @classmethod
    def classes(cls, labels: Sequence[str], words: Sequence[str]) -> list[str]:
        """The places in each subword where words begin."""
        return [
            " ".join(str(place) for place in range(len(word)) if labels[start + place] == BEGIN)
            for start, word in zip(_starts(words), words, strict=True)
        ]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The tag of each character of each sentence."""
        return [
            self._tags(words, places)
            for words, places in zip(sentences, super().decode(scores, sentences), strict=True)
        ]

    def _tags(self, subwords: Sequence[str], places: Sequence[str]) -> list[str]:
        text = "".join(subwords)
        begins = {
            start + int(place)
            for start, joined in zip(_starts(subwords), places, strict=True)
            for place in joined.split()
        }
        tags: list[str] = []
        # White space since the last character that is none.
        gap = 0
        for position, character in enumerate(text):
            if character.isspace():
                tags.append(OUTSIDE)
                gap += 1
                continue
            starts_text = gap == position
            if starts_text or position in begins or (gap and self.config.pre_split):
                tags.append(BEGIN)
            else:
                # White space before it belongs to the word.
                tags[position - gap :] = [INSIDE] * (gap + 1)
            gap = 0
        return tags

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Leaves the record as it is: a file with words keeps them."""


def spans_of(text: str, tags: Sequence[str]) -> list[Span]:
    """Where the words that tags mark start and end.

    >>> spans_of("I don't", list("BOBIBII"))
    [(0, 1), (2, 4), (4, 7)]
    """
    begins = [place for place, tag in enumerate(tags) if tag == BEGIN]
    ends = [*begins[1:], len(text)]
    return [
        (start, max(place for place in range(start, end) if tags[place] != OUTSIDE) + 1)
        for start, end in zip(begins, ends, strict=True)
    ]


def tag_characters(text: str, record: Record) -> list[str] | None:
    """Aligns the words of a record with its text; a multiword row stands for words that the text does not hold."""
    tags = [OUTSIDE] * len(text)
    position = 0
    ranges = _ranges(record)
    number = 0
    while number < len(record.words):
        last, form = ranges.get(number, (number, record.words[number]))
        words = record.words[number : last + 1]
        while position < len(text) and text[position].isspace():
            position += 1
        forms = words if _holds(text, position, words) else [form]
        for word in forms:
            while position < len(text) and text[position].isspace() and not text.startswith(word, position):
                position += 1
            if not word or not text.startswith(word, position):
                return None
            tags[position : position + len(word)] = [BEGIN] + [INSIDE] * (len(word) - 1)
            position += len(word)
        number = last + 1
    return None if text[position:].strip() else tags


def _holds(text: str, position: int, words: Sequence[str]) -> bool:
    """Whether words stand in a text from a position on, one right after another."""
    return text.startswith("".join(words), position)


def _ranges(record: Record) -> dict[int, tuple[int, str]]:
    """Multiword rows: the number of their first word, counted from 0, to that of their last and their form."""
    if record.ids is None:
        return {}
    found = {}
    for line in record.lines:
        match = _RANGE.match(line)
        if match and match.group(1) in record.ids and match.group(2) in record.ids:
            first, last = record.ids[match.group(1)] - 1, record.ids[match.group(2)] - 1
            if first <= last:
                found[first] = (last, match.group(3))
    return found


def _starts(words: Sequence[str]) -> list[int]:
    """Where each string starts in all of them, joined."""
    return list(accumulate((len(word) for word in words[:-1]), initial=0)) if words else []
