"""Records: what a data file says, sentence by sentence, kept so that it can be written back byte for byte.

CoNLL-like files, TSV and raw text become the same ``Record``. The lines of all records of a file, joined,
are the file: comments, multiword rows, empty nodes, blank lines and line ends included.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import chain

from machamp_lite.data.comments import count_leading_lines
from machamp_lite.data.lines import LineBlock, is_blank, numbered_lines
from machamp_lite.data.raw_lines import RawTextForm, lines_with_words, raw_text_record
from machamp_lite.data.record import EMPTY, NODE_ID, FileFormat, Record, column_of
from machamp_lite.data.record_checks import ColumnChecker, EmptyWords, check_separator, without_ids
from machamp_lite.data.word_boundaries import at_white_space
from machamp_lite.errors import DataError, FaultList

__all__ = ["BYTE_ORDER_MARK", "EMPTY", "FileFormat", "Record", "read_records"]

BYTE_ORDER_MARK = "\ufeff"


def read_records(
    path: str | os.PathLike[str],
    layout: FileFormat,
    *,
    required: dict[int, str] | None = None,
    raw_text_columns: int | None = None,
    allow_empty_words: bool = True,
    faults: FaultList | None = None,
) -> Iterator[Record]:
    """Reads a file record by record.

    ``required`` names, for each column that must be there, what reads it. With ``raw_text_columns`` the file is
    plain text, one sentence per line and words split at white space, and each record gets rows of that many columns.
    Raises ``DataError`` after the last line with every fault of the file (the first ones, and their number),
    those included that whoever reads the records has added to ``faults``.
    """
    faults = FaultList() if faults is None else faults
    stretches = numbered_lines(path, faults)
    # The name in messages.
    path = str(path)
    number, lines = next(stretches, (1, [""]))
    first, *lines = lines
    if first.startswith(BYTE_ORDER_MARK):
        if raw_text_columns is None:
            yield Record(path, number, [BYTE_ORDER_MARK])
        first = first.removeprefix(BYTE_ORDER_MARK)
    if layout.skip_first_line and raw_text_columns is None:
        yield Record(path, number, [first])
    elif first:
        lines, number = [first, *lines], number - 1
    stretches = chain([(number + 1, lines)], stretches)
    found_words = False
    checker = ColumnChecker(required or {}, faults)
    if required and raw_text_columns is None:
        checker.separated = check_separator(path, number + 1, lines, layout, required, faults)
    empty_words = EmptyWords(path, layout.word_idx, faults=None if allow_empty_words else faults)
    records = _parse(path, stretches, layout, raw_text_columns)
    if layout.id_task is not None and raw_text_columns is None:
        records = without_ids(path, records, layout.id_task)
    for record in records:
        found_words = found_words or bool(record.rows)
        checker.check(record)
        if "" in record.words:
            empty_words.check(record)
        yield record
    empty_words.warn()
    if not found_words and not faults.count:
        faults.add(f"{path}: no sentences found, expected at least one")
    if faults.count:
        raise DataError(faults.lines(path))


def _parse(
    path: str, stretches: Iterable[LineBlock], layout: FileFormat, raw_text_columns: int | None
) -> Iterator[Record]:
    if raw_text_columns is None and layout.word_idx is not None:
        return _conll_records(path, stretches, layout.word_idx)
    lines = (line for first, lines in stretches for line in enumerate(lines, start=first))
    if raw_text_columns is None:
        return _tsv_records(path, lines, layout)
    form = RawTextForm(raw_text_columns, layout.word_idx or 0, has_ids=layout.id_task is None)
    return (
        raw_text_record(path, number, text, at_white_space(text), form)
        for number, text in lines_with_words(path, lines)
    )


def _conll_records(path: str, stretches: Iterable[LineBlock], word_idx: int) -> Iterator[Record]:
    for first_line, block, blank in _blocks(stretches):
        comments = count_leading_lines(block, word_idx)
        rows = [line.rstrip("\r\n").split("\t") for line in block[comments:]]
        row_lines = list(range(comments, len(block)))
        ids: dict[str, int] | None = None
        if word_idx > 0 and rows:
            firsts = [row[0] for row in rows]
            if not all(map(str.isdecimal, firsts)) and all(map(NODE_ID.fullmatch, firsts)):
                # Multiword rows (1-2) and empty nodes (8.1) are not words: they are only kept in the lines.
                kept = [number for number, first in enumerate(firsts) if first.isdecimal()]
                rows = [rows[number] for number in kept]
                row_lines = [row_lines[number] for number in kept]
                firsts = [firsts[number] for number in kept]
            if all(map(str.isdecimal, firsts)):
                ids = dict(zip(firsts, range(1, len(firsts) + 1), strict=True))
                if len(ids) < len(rows):
                    # Repeated numbers are not ids.
                    ids = None
        yield Record(path, first_line, block + blank, rows, row_lines, column_of(rows, word_idx), ids)


def _blocks(stretches: Iterable[LineBlock]) -> Iterator[tuple[int, list[str], list[str]]]:
    """Sentences as (number of the first line, lines, the blank lines that follow)."""
    first_line = 0
    block: list[str] = []
    blank: list[str] = []
    for number, lines in stretches:
        first_line = first_line or number
        blanks = [place for place, line in enumerate(lines) if line.isspace() and is_blank(line)]
        start = 0
        for end in [*blanks, len(lines)]:
            if start < end:
                if blank:
                    yield first_line, block, blank
                    first_line, block, blank = number + start, [], []
                block += lines[start:end]
            blank += lines[end : end + 1]
            start = end + 1
    if block or blank:
        yield first_line, block, blank


def _tsv_records(path: str, lines: Iterable[tuple[int, str]], layout: FileFormat) -> Iterator[Record]:
    for number, line in lines:
        if is_blank(line):
            yield Record(path, number, [line])
            continue
        text = line.rstrip("\r\n")
        row = [text] if layout.sent_idxs is None else text.split("\t")
        texts = [row[index] if index < len(row) else "" for index in layout.sent_idxs or (0,)]
        yield Record(path, number, [line], [row], [0], texts)
