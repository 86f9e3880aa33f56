"""Splits lines of raw text into words, at white space or at Unicode word boundaries, and makes records of them."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import regex

from machamp_lite.data.record import EMPTY, FileFormat, Record, column_of
from machamp_lite.data.records import BYTE_ORDER_MARK, read_records
from machamp_lite.errors import FaultList

logger = logging.getLogger(__name__)

# The start and end of a word in a text.
Span = tuple[int, int]

# The last column of CoNLL-U.
MISC = 9

_CHUNK = re.compile(r"\S+")
# The WORD flag makes \b the word boundary of Unicode Standard Annex 29. Thai, Lao, Khmer and Burmese require a
# dictionary, which this program does not have, so text in these scripts is split at white space only.
_BOUNDARY = regex.compile(r"(?w)\b(?<!\p{Line_Break=SA}(?=\p{Line_Break=SA}))")
# Control and format characters, such as a zero-width space.
_INVISIBLE = regex.compile(r"[\p{Cc}\p{Cf}]+")
_WITHOUT_SPACES = regex.compile(r"[\p{Line_Break=SA}\p{Han}\p{Hiragana}\p{Katakana}]")


@dataclass(frozen=True, slots=True)
class RawTextColumns:
    """The columns of rows that are made from raw text.

    ``has_ids``: the first column contains word ids, unless it contains the words. ``has_misc``: the tenth column marks
    words that no space follows, as in CoNLL-U. ``names`` are the positions of named columns.
    """

    count: int
    word_idx: int
    has_ids: bool = True
    has_misc: bool = False
    names: Mapping[str, int] = field(default_factory=dict)


def read_raw_text(path: str | os.PathLike[str], faults: FaultList | None = None) -> Iterator[tuple[int, str]]:
    """Yields the number and the stripped text of each line; skips blank lines, and logs how many."""
    blank, first = 0, 0
    try:
        for record in read_records(path, FileFormat(), faults=faults):
            if text := "".join(record.words).strip():
                yield record.first_line, text
            elif record.lines != [BYTE_ORDER_MARK]:
                blank += 1
                first = first or record.first_line
    finally:
        if blank:
            message = "%s: %d blank lines are left out (the first is line %d)"
            logger.info(
                message if blank > 1 else "%s: %d blank line is left out (line %d)", path, blank, first
            )


def raw_text_record(
    path: str, number: int, text: str, spans: Sequence[Span], columns: RawTextColumns
) -> Record:
    """Makes a sentence of a line: the words are at ``spans``, and a comment has the text."""
    has_ids = columns.has_ids and columns.word_idx > 0
    rows = []
    for position, (start, end) in enumerate(spans, start=1):
        row = [EMPTY] * max(columns.count, columns.word_idx + 1)
        if has_ids:
            row[0] = str(position)
        # White space in a word becomes one space, because a tab would start another column.
        row[columns.word_idx] = " ".join(text[start:end].split())
        if columns.has_misc and end < len(text) and not text[end].isspace():
            row[MISC] = "SpaceAfter=No"
        rows.append(row)
    lines = [f"# text = {text}\n", *["\n"] * len(rows), "\n"]
    ids = {row[0]: position for position, row in enumerate(rows, start=1)} if has_ids else None
    row_lines = list(range(1, len(rows) + 1))
    return Record(path, number, lines, rows, row_lines, column_of(rows, columns.word_idx), ids, columns.names)


def split_at_white_space(text: str) -> list[Span]:
    """The words between white space.

    >>> split_at_white_space("I don't.")
    [(0, 1), (2, 8)]
    """
    return [match.span() for match in _CHUNK.finditer(text)]


def split_at_word_boundaries(text: str) -> list[Span]:
    """The words by Unicode Standard Annex 29; each punctuation mark is a word.

    >>> split_at_word_boundaries("I don't.")
    [(0, 1), (2, 7), (7, 8)]
    """
    return [span for match in _CHUNK.finditer(text) for span in _words_of_chunk(match.group(), match.start())]


def _words_of_chunk(chunk: str, offset: int) -> list[Span]:
    if chunk.isalnum() and chunk.isascii():
        return [(offset, offset + len(chunk))]
    boundaries = sorted({0, *(match.start() for match in _BOUNDARY.finditer(chunk)), len(chunk)})
    spans: list[Span] = []
    # Invisible characters belong to the word before them; at the start of a chunk, to the word after them.
    starts_invisible = False
    for start, end in pairwise(boundaries):
        is_invisible = bool(_INVISIBLE.fullmatch(chunk, start, end))
        if not spans:
            starts_invisible = is_invisible
        elif is_invisible or starts_invisible:
            start = spans.pop()[0] - offset
            starts_invisible = starts_invisible and is_invisible
        spans.append((offset + start, offset + end))
    return spans


def is_written_without_spaces(text: str) -> bool:
    """Whether a text contains a script without spaces between words, such as Chinese or Thai."""
    return bool(_WITHOUT_SPACES.search(text))
