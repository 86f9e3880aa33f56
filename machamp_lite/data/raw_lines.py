"""Lines of raw text as sentences of words in columns."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from machamp_lite.data.record import EMPTY, Record, column_of
from machamp_lite.data.word_boundaries import Span

logger = logging.getLogger(__name__)

MISC = 9


@dataclass(frozen=True, slots=True)
class RawTextForm:
    """The rows that lines of raw text become.

    ``has_ids``: rows are numbered in the first column, unless words are there. ``has_misc``: the tenth column says
    which words have no space after them, as in CoNLL-U.
    """

    columns: int
    word_idx: int
    has_ids: bool = True
    has_misc: bool = False


def lines_with_words(path: str, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Numbered lines of raw text without white space at their ends; logs how many blank lines are left out."""
    blank, first = 0, 0
    try:
        for number, line in lines:
            if text := line.strip():
                yield number, text
            else:
                blank += 1
                first = first or number
    finally:
        if blank:
            message = "%s: %d blank lines are left out (the first is line %d)"
            logger.info(
                message if blank > 1 else "%s: %d blank line is left out (line %d)", path, blank, first
            )


def raw_text_record(path: str, number: int, text: str, spans: Sequence[Span], form: RawTextForm) -> Record:
    """A line of raw text as a sentence of the words at ``spans``, with the line as it is in a comment above them."""
    has_ids = form.has_ids and form.word_idx > 0
    rows = []
    for position, (start, end) in enumerate(spans, start=1):
        row = [EMPTY] * max(form.columns, form.word_idx + 1)
        if has_ids:
            row[0] = str(position)
        # White space inside a word is one space: a tab would begin another column.
        row[form.word_idx] = " ".join(text[start:end].split())
        if form.has_misc and end < len(text) and not text[end].isspace():
            row[MISC] = "SpaceAfter=No"
        rows.append(row)
    block = [f"# text = {text}\n", *["\n"] * len(rows), "\n"]
    ids = {row[0]: position for position, row in enumerate(rows, start=1)} if has_ids else None
    places = list(range(1, len(rows) + 1))
    return Record(path, number, block, rows, places, column_of(rows, form.word_idx), ids)
