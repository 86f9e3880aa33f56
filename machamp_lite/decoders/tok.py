"""``tok``: tokenization of raw text, learnt from ``# text`` comments and the words below them."""

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from torch import Tensor

from machamp_lite.config.task_types import TaskOptions, TokOptions
from machamp_lite.data.raw_text import Span
from machamp_lite.data.records import Record
from machamp_lite.decoders.base import LabelDecoder

_MULTIWORD_ROW = re.compile(r"(\d+)-(\d+)\t([^\t\r\n]+)")
BEGIN, INSIDE, OUTSIDE = "B", "I", "O"


class Tok(LabelDecoder):
    """Classifies each subword of the raw text by the offsets in it at which words begin.

    Labels are one tag per character (B, I, or O for white space between words), so that ``span_f1`` is the F1 of
    words. The class of a subword is a string of character offsets, such as "0" or "0 2". So several words can begin in
    one subword, as in scripts without spaces.
    """

    Options = TokOptions
    # Labels belong to characters, rows to subwords.
    one_row_per_label = False
    label_pattern = r"(\d{1,9}( \d{1,9})*)?"

    @classmethod
    def place(cls, task: str, config: TaskOptions) -> str:
        """Where the labels are in a file, for messages."""
        return "comment '# text = SENTENCE' that holds the words"

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str] | None:
        """The tag of each character of ``# text``; None without this comment, or if it does not contain the words."""
        text = record.comment("text")
        return None if text is None else tag_characters(text, record)

    @classmethod
    def classes(cls, labels: Sequence[str], words: Iterable[str]) -> list[str]:
        """The offsets in each subword at which words begin."""
        words = list(words)
        return [
            " ".join(str(offset) for offset in range(len(word)) if labels[start + offset] == BEGIN)
            for start, word in zip(_starts(words), words, strict=True)
        ]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The tag of each character of each sentence."""
        return [
            self._tags(words, offsets)
            for words, offsets in zip(sentences, super().decode(scores, sentences), strict=True)
        ]

    def _tags(self, subwords: Sequence[str], offsets: Sequence[str]) -> list[str]:
        text = "".join(subwords)
        begins = {
            start + int(offset)
            for start, joined in zip(_starts(subwords), offsets, strict=True)
            for offset in joined.split()
        }
        tags: list[str] = []
        # The number of white-space characters directly before the position.
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
                # The word continues across the white space.
                tags[position - gap :] = [INSIDE] * (gap + 1)
            gap = 0
        return tags

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Leaves the record unchanged: a file that has words keeps them."""


def spans_of(text: str, tags: Sequence[str]) -> list[Span]:
    """The start and end of each word, from the tags of all characters.

    >>> spans_of("I don't", list("BOBIBII"))
    [(0, 1), (2, 4), (4, 7)]
    """
    begins = [position for position, tag in enumerate(tags) if tag == BEGIN]
    ends = [*begins[1:], len(text)]
    return [
        (start, max(position for position in range(start, end) if tags[position] != OUTSIDE) + 1)
        for start, end in zip(begins, ends, strict=True)
    ]


def tag_characters(text: str, record: Record) -> list[str] | None:
    """Aligns the words of a record with its text; None if the text does not contain them.

    Where the text does not contain the words of a multiword token, the form of the token is aligned.
    """
    tags = [OUTSIDE] * len(text)
    position = index = 0
    multiwords = _multiwords(record)
    while index < len(record.words):
        last, form = multiwords.get(index, (index, record.words[index]))
        words = record.words[index : last + 1]
        while position < len(text) and text[position].isspace():
            position += 1
        for word in words if text.startswith("".join(words), position) else [form]:
            while position < len(text) and text[position].isspace() and not text.startswith(word, position):
                position += 1
            if not word or not text.startswith(word, position):
                return None
            tags[position : position + len(word)] = [BEGIN] + [INSIDE] * (len(word) - 1)
            position += len(word)
        index = last + 1
    return None if text[position:].strip() else tags


def _multiwords(record: Record) -> dict[int, tuple[int, str]]:
    """The multiword tokens of a record: the index of the first word to that of the last word and the form."""
    ids, found = record.ids or {}, {}
    for line in record.lines if ids else ():
        match = _MULTIWORD_ROW.match(line)
        if match and match.group(1) in ids and match.group(2) in ids:
            first, last = ids[match.group(1)] - 1, ids[match.group(2)] - 1
            if first <= last:
                found[first] = (last, match.group(3))
    return found


def _starts(strings: Sequence[str]) -> list[int]:
    """The offset of each string in the concatenation of all."""
    return list(accumulate(map(len, strings[:-1]), initial=0)) if strings else []
