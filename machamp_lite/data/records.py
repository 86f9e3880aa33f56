"""Records: what a data file says, sentence by sentence, kept so that it can be written back byte for byte.

CoNLL-like files, TSV and raw text become the same ``Record``. The lines of all records of a file, joined,
are the file: comments, multiword rows, empty nodes, blank lines and line ends included.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from machamp_lite.data.lines import Stretch, is_blank, numbered_lines
from machamp_lite.data.separators import find_separator, looks_separated_by_spaces, separator_fault
from machamp_lite.errors import DataError, FaultList

logger = logging.getLogger(__name__)

EMPTY = "_"
BYTE_ORDER_MARK = "\ufeff"
_NODE_ID = re.compile(r"\d+(-\d+|\.\d+)?")


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a file: a CoNLL-like one by ``word_idx``, or one instance a line by ``sent_idxs``.

    With neither, it is plain text, one instance a line.
    """

    word_idx: int | None = None
    sent_idxs: tuple[int, ...] | None = None
    skip_first_line: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence (CoNLL, raw text) or one line (TSV) of a file.

    ``lines`` are as in the file, line ends included; ``rows`` are the columns of the lines that hold words,
    ``row_lines`` where in ``lines`` those stand. A record without words (a header, stray comments) only
    passes through. ``ids`` maps the ids of a CoNLL-U sentence to the positions of its words, from 1.
    """

    path: str
    first_line: int
    lines: list[str]
    rows: list[list[str]] = field(default_factory=list)
    row_lines: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    ids: dict[str, int] | None = None

    def where(self, row: int | None = None) -> str:
        """The ``file:line`` of a word row, or of the record's first line."""
        if row is None or not self.rows:
            return f"{self.path}:{self.first_line}"
        return f"{self.path}:{self.first_line + self.row_lines[row]}"

    def column(self, index: int) -> list[str]:
        """One column of the word rows; a column that a row lacks reads as ``_``."""
        return _column(self.rows, index)

    def set_column(self, index: int, values: Sequence[str]) -> None:
        """Writes one column of the word rows; missing columns before it are filled with ``_``."""
        for row, value in zip(self.rows, values, strict=True):
            row.extend([EMPTY] * (index + 1 - len(row)))
            row[index] = value

    def comment_lines(self) -> Iterator[tuple[int, str]]:
        """The lines above the first word row, with their places in ``lines``."""
        end = self.row_lines[0] if self.row_lines else 0
        return ((place, line) for place, line in enumerate(self.lines[:end]) if line.startswith("#"))

    def comment(self, name: str) -> str | None:
        """The value of ``# name = value`` or ``# name: value``; None if there is no such comment."""
        found = self._find_comment(name)
        return None if found is None else found[1].group(2)

    def comment_names(self) -> list[str]:
        """The names of all comments of the form ``# name = value`` or ``# name: value``."""
        matches = (re.match(r"#\s*([^=:]+?)\s*[=:]", line) for _, line in self.comment_lines())
        return [match.group(1) for match in matches if match]

    def set_comment(self, name: str, value: str) -> None:
        """Writes the value of a comment in its place, or adds the comment above the first word row."""
        found = self._find_comment(name)
        if found is not None:
            place, match = found
            self.lines[place] = f"{match.group(1)}{value}{match.group(3)}"
            return
        place = self.row_lines[0]
        self.lines.insert(place, f"# {name} = {value}{_line_end(self.lines[place]) or chr(10)}")
        self.row_lines[:] = [line + 1 for line in self.row_lines]

    def _find_comment(self, name: str) -> tuple[int, re.Match[str]] | None:
        pattern = re.compile(rf"(#\s*{re.escape(name)}\s*[=:][ \t]*)(.*?)([ \t]*\r?\n?)", re.DOTALL)
        for place, line in self.comment_lines():
            match = pattern.fullmatch(line)
            if match:
                return place, match
        return None

    def text(self) -> str:
        """The record as it stands in a file."""
        lines = self.lines.copy()
        for row, place in zip(self.rows, self.row_lines, strict=True):
            lines[place] = "\t".join(row) + _line_end(lines[place])
        return "".join(lines)


def read_records(
    path: str | os.PathLike[str],
    layout: Layout,
    *,
    required: dict[int, str] | None = None,
    raw_text_columns: int | None = None,
    faults: FaultList | None = None,
) -> Iterator[Record]:
    """Reads a file record by record.

    ``required`` names, for each column that must be there, what reads it. With ``raw_text_columns`` the file is
    plain text, one sentence a line and words split by spaces, and each record gets rows of that many columns.
    Raises ``DataError`` after the last line with every fault of the file (the first ones, and their number),
    those included that whoever reads the records has added to ``faults``.
    """
    faults = FaultList() if faults is None else faults
    stretches = numbered_lines(path, faults)
    # What messages call it.
    path = str(path)
    number, lines = next(stretches, (1, [""]))
    first, *lines = lines
    if first.startswith(BYTE_ORDER_MARK):
        yield Record(path, number, [BYTE_ORDER_MARK])
        first = first.removeprefix(BYTE_ORDER_MARK)
    if layout.skip_first_line and raw_text_columns is None:
        yield Record(path, number, [first])
    elif first:
        lines, number = [first, *lines], number - 1
    stretches = chain([(number + 1, lines)], stretches)
    found_words = False
    checker = _ColumnChecker(required or {}, faults)
    if required and raw_text_columns is None:
        checker.separated = _notes_separator(path, number + 1, lines, layout, required, faults)
    for record in _parse(path, stretches, layout, raw_text_columns):
        found_words = found_words or bool(record.rows)
        checker.check(record)
        yield record
    if not found_words and not faults.count:
        faults.add(f"{path}: no sentences found, expected at least one")
    if faults.count:
        raise DataError(faults.lines(path))


def _parse(
    path: str, stretches: Iterable[Stretch], layout: Layout, raw_text_columns: int | None
) -> Iterator[Record]:
    if raw_text_columns is None and layout.word_idx is not None:
        return _conll_records(path, stretches, layout.word_idx)
    lines = (line for first, lines in stretches for line in enumerate(lines, start=first))
    if raw_text_columns is None:
        return _tsv_records(path, lines, layout)
    return _raw_text_records(path, lines, columns=raw_text_columns, word_idx=layout.word_idx or 0)


def _notes_separator(
    path: str, number: int, lines: Sequence[str], layout: Layout, required: dict[int, str], faults: FaultList
) -> bool:
    """Notes, once for a file, that its rows have no tabs but other separators; says whether that is a fault."""
    columns = max(required) + 1
    texts = layout.word_idx is None
    separator = find_separator(lines, columns=columns, texts=texts)
    # Of the first row.
    where = next(
        (
            f"{path}:{place}"
            for place, line in enumerate(lines, start=number)
            if not is_blank(line) and not line.startswith("#")
        ),
        path,
    )
    if separator is not None:
        faults.add(separator_fault(where, separator, path))
    elif columns == 1 and not texts and looks_separated_by_spaces(lines):
        logger.warning(
            "%s: rows look separated by spaces and have no tabs, so each is read as one word; expected columns "
            "separated by tabs",
            where,
        )
    return separator is not None


@dataclass(slots=True)
class _ColumnChecker:
    """Notes the rows that lack a column which something reads.

    Where a fault already says that columns are ``separated`` by something else, rows without tabs are not listed.
    """

    required: dict[int, str]
    faults: FaultList
    separated: bool = False

    def check(self, record: Record) -> None:
        needed = max(self.required, default=-1) + 1
        if min(map(len, record.rows), default=needed) >= needed:
            return
        for number, row in enumerate(record.rows):
            if len(row) < needed and not (self.separated and len(row) == 1):
                missing = min(column for column in self.required if column >= len(row))
                self.faults.add(
                    f"{record.where(number)}: found {len(row)} column{'s' * (len(row) != 1)}, expected at least "
                    f"{needed}: {self.required[missing]} reads column {missing}, counted from 0"
                )


def _column(rows: Sequence[Sequence[str]], index: int) -> list[str]:
    try:
        return [row[index] for row in rows]
    except IndexError:
        return [row[index] if index < len(row) else EMPTY for row in rows]


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _conll_records(path: str, stretches: Iterable[Stretch], word_idx: int) -> Iterator[Record]:
    for first_line, block, blank in _blocks(stretches):
        comments = _count_comments(block, word_idx)
        rows = [line.rstrip("\r\n").split("\t") for line in block[comments:]]
        row_lines = list(range(comments, len(block)))
        ids: dict[str, int] | None = None
        if word_idx > 0 and rows:
            firsts = [row[0] for row in rows]
            if not all(map(str.isdecimal, firsts)) and all(map(_NODE_ID.fullmatch, firsts)):
                # Multiword rows (1-2) and empty nodes (8.1) are no words: they stay in the lines alone.
                kept = [number for number, first in enumerate(firsts) if first.isdecimal()]
                rows = [rows[number] for number in kept]
                row_lines = [row_lines[number] for number in kept]
                firsts = [firsts[number] for number in kept]
            if all(map(str.isdecimal, firsts)):
                ids = dict(zip(firsts, range(1, len(firsts) + 1), strict=True))
                if len(ids) < len(rows):
                    # Numbers that stand twice are no ids.
                    ids = None
        yield Record(path, first_line, block + blank, rows, row_lines, _column(rows, word_idx), ids)


def _blocks(stretches: Iterable[Stretch]) -> Iterator[tuple[int, list[str], list[str]]]:
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


def _count_comments(block: list[str], word_idx: int) -> int:
    """How many leading lines are comments.

    A word may itself be ``#``, so a leading line that starts with ``#`` is a comment if its number of columns is
    not that of the last line, if it has no column of words, or if a space follows the ``#`` in its first column.
    """
    if not block:
        return 0
    tabs = block[-1].count("\t")
    for number, line in enumerate(block):
        if not line.startswith("#"):
            return number
        columns = line.count("\t")
        if not (columns != tabs or columns < word_idx or line.startswith("# ")):
            return number
    return len(block)


def _tsv_records(path: str, lines: Iterable[tuple[int, str]], layout: Layout) -> Iterator[Record]:
    for number, line in lines:
        if is_blank(line):
            yield Record(path, number, [line])
            continue
        text = line.rstrip("\r\n")
        row = [text] if layout.sent_idxs is None else text.split("\t")
        texts = [row[index] if index < len(row) else "" for index in layout.sent_idxs or (0,)]
        yield Record(path, number, [line], [row], [0], texts)


def _raw_text_records(
    path: str, lines: Iterable[tuple[int, str]], *, columns: int, word_idx: int
) -> Iterator[Record]:
    for number, line in lines:
        words = line.split()
        if not words:
            continue
        rows = []
        for position, word in enumerate(words, start=1):
            row = [EMPTY] * max(columns, word_idx + 1)
            if word_idx > 0:
                row[0] = str(position)
            row[word_idx] = word
            rows.append(row)
        text = f"# text = {' '.join(words)}\n"
        block = [text, *["\n"] * len(rows), "\n"]
        ids = {row[0]: position for position, row in enumerate(rows, start=1)} if word_idx > 0 else None
        yield Record(path, number, block, rows, list(range(1, len(rows) + 1)), words, ids)
