"""Checks the records of a file while they are read: columns, their separator, empty words, word ids."""

import csv
import itertools
import logging
import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from machamp_lite.data.delimiter import SPACES, TABS, Delimiter
from machamp_lite.data.lines import is_blank
from machamp_lite.data.record import Column, FileFormat, Record
from machamp_lite.errors import DataError, FaultList, counted

logger = logging.getLogger(__name__)

# The number of sentences that are read to decide whether the first column contains word ids.
SENTENCES_INSPECTED = 100
# The number of rows that are read to decide what separates columns, and the share of them that must agree.
ROWS_INSPECTED = 200
MIN_AGREEMENT = 0.9
_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", SPACES: "spaces"}
_FIXES = {
    "tabs": 'set "separator": "\\t"',
    "commas": 'set "format": "csv", or name the file .csv',
    "semicolons": 'set "format": "csv" and "separator": ";"',
    "spaces": 'set "separator": " "',
}
_TEXTS = "if each line is a text, use sent_idxs in the dataset config, or predict with --raw_text"


def refuse_word_ids(path: str, records: Iterator[Record], task: str) -> Iterator[Record]:
    """The same records; raises ``DataError`` if their first column contains word ids, as in CoNLL-U."""
    first = list(islice(records, SENTENCES_INSPECTED))
    sentences = [record for record in first if record.rows]
    # In a sentence with one word, 1 may be a label.
    longer = [record for record in sentences if len(record.rows) > 1] or sentences
    with_ids = sum(map(_has_consecutive_ids, longer))
    if longer and with_ids > len(longer) / 2:
        raise DataError(
            f"{path}: found the ids of words in column 0, as in CoNLL-U, and the task '{task}' would overwrite them; "
            "expected another column_idx"
        )
    return chain(first, records)


def _has_consecutive_ids(record: Record) -> bool:
    return record.ids is not None and list(record.ids) == [
        str(number + 1) for number in range(len(record.rows))
    ]


@dataclass(slots=True)
class EmptyWordChecker:
    """Adds a fault for each empty word, or without ``faults`` logs one warning for all of them."""

    path: str
    word_idx: Column | None
    faults: FaultList | None
    count: int = 0
    first: str = ""

    def check(self, record: Record) -> None:
        """Counts the empty words of a record."""
        if self.word_idx is None:
            return
        for row, word in enumerate(record.words):
            if word:
                continue
            self.count += 1
            self.first = self.first or record.where(row)
            if self.faults is not None:
                self.faults.add(f"{record.where(row)}: found no word in column {self.word_idx}, expected one")

    def warn(self) -> None:
        """Logs how many words are empty."""
        if self.count and self.faults is None:
            words = "words are" if self.count > 1 else "word is"
            message = "%s: %d %s empty (the first at %s) and read as an unknown subword"
            logger.warning(message, self.path, self.count, words, self.first)


@dataclass(slots=True)
class ColumnChecker:
    """Adds a fault for each row without a required column, and for each row that is longer than the header.

    ``required`` says what reads a column. ``header`` is the number of columns of the header, if columns have names. If
    another character than the expected one separates the columns, ``wrong_separator`` is true and rows of one cell are
    skipped: ``check_separator`` has reported them.
    """

    required: Mapping[int, str]
    faults: FaultList
    header: int | None = None
    wrong_separator: bool = False
    needed: int = field(init=False)

    def __post_init__(self) -> None:
        # Columns that are not in the header are reported there, once.
        end = self.header if self.header is not None else math.inf
        self.needed = max((column for column in self.required if column < end), default=-1) + 1

    def check(self, record: Record) -> bool:
        """Adds the faults of one record; returns whether it has none."""
        needed = self.needed
        if self.header is None and min(map(len, record.rows), default=needed) >= needed:
            return True
        lengths = list(map(len, record.rows))
        if min(lengths, default=needed) >= needed and (self.header is None or max(lengths, default=0) <= self.header):
            return True
        for number, length in enumerate(lengths):
            if self.header is not None and length > self.header:
                found = f"found {counted(length, 'column')}, but the header has {self.header}"
                self.faults.add(f"{record.where(number)}: {found}")
            elif length < needed and not (self.wrong_separator and length == 1):
                missing = min(column for column in self.required if column >= length)
                self.faults.add(
                    f"{record.where(number)}: found {counted(length, 'column')}, expected at least "
                    f"{needed}: {self.required[missing]}"
                )
        return False


def check_separator(
    path: str,
    number: int,
    lines: Sequence[str],
    file_format: FileFormat,
    delimiter: Delimiter,
    columns: int,
    faults: FaultList,
) -> bool:
    """Adds one fault if the first lines of a file have another separator, or are CoNLL where texts are read.

    Returns whether it did; then other faults of rows without the separator follow from this one.
    """
    has_texts = file_format.word_idx is None
    rows = _rows(lines)
    separator = find_separator(rows, columns=columns, has_texts=has_texts, expected=delimiter.separator)
    first_row = (f"{path}:{index}" for index, line in enumerate(lines, start=number) if _is_row(line))
    where = next(first_row, path)
    if separator == "spaces" and not has_texts and not _have_equal_parts(rows):
        faults.add(f"{where}: rows have no tabs and look like texts, expected columns separated by tabs; {_TEXTS}")
    elif separator is not None:
        expected = _NAMES.get(delimiter.separator, repr(delimiter.separator))
        fix = _two_spaces_to_tabs(path) if separator == "spaces" and has_texts else _FIXES[separator]
        faults.add(f"{where}: rows are separated by {separator}, expected {expected}; {fix}")
    elif has_texts and columns > 1 and _are_sentences_of_words(lines):
        faults.add(
            f"{where}: looks like CoNLL, with one word per line and a blank line after each sentence, but sent_idxs "
            "reads each line as a text; set word_idx to the column of the words instead of sent_idxs"
        )
    else:
        if columns == 1 and not has_texts and delimiter == TABS and not any("\t" in row for row in rows):
            _warn_about_spaces(where, rows)
        return False
    return True


def find_separator(rows: Sequence[str], *, columns: int, has_texts: bool, expected: str = "\t") -> str | None:
    """What separates the columns of rows without the expected separator: ``spaces``, ``commas`` and so on.

    None if some row has the expected one, or if no other gives at least ``columns`` columns. In files with texts, a
    single space is not a separator.
    """
    if not rows or columns < 2 or expected == SPACES or any(expected in row for row in rows):
        return None
    candidates: dict[str, Callable[[str], int]] = {
        "tabs": lambda row: row.count("\t") + 1,
        "commas": lambda row: _count_columns(row, ","),
        "semicolons": lambda row: _count_columns(row, ";"),
        "spaces": lambda row: len(re.split(r"\s\s+" if has_texts else r"\s+", row.strip())),
    }
    distinct_counts = {}
    for name, count in candidates.items():
        counts = list(map(count, rows))
        if name != _NAMES.get(expected) and sum(number >= columns for number in counts) >= MIN_AGREEMENT * len(rows):
            distinct_counts[name] = len(set(counts))
    # Every row has the same number of columns, but texts have different numbers of commas.
    return min(distinct_counts, key=lambda name: distinct_counts[name]) if distinct_counts else None


def _have_equal_parts(rows: Sequence[str]) -> bool:
    """Whether most rows have the same number of parts between spaces, as rows with columns do and texts do not."""
    return max(Counter(len(row.split()) for row in rows).values()) >= MIN_AGREEMENT * len(rows)


def _are_sentences_of_words(lines: Sequence[str]) -> bool:
    """Whether the first lines of a file are CoNLL: with comments without tabs, and blank lines after sentences."""
    head = lines[: 2 * ROWS_INSPECTED]
    has_comments = any(line.startswith("# ") and "\t" not in line for line in head)
    rows_before_blank = any(
        "\t" in line and is_blank(following) for line, following in itertools.pairwise(head)
    )
    return has_comments and rows_before_blank


def _warn_about_spaces(where: str, rows: Sequence[str]) -> None:
    """Logs a warning if rows without tabs, which are read as one word each, have spaces."""
    have_spaces = [len(row.split()) > 1 for row in rows]
    if len(rows) > 1 and all(have_spaces) and len({len(row.split()) for row in rows}) == 1:
        what, expected = "look separated by spaces", 'expected columns separated by tabs, or "separator": " "'
    elif sum(have_spaces) > len(rows) / 2:
        what, expected = "look like texts", _TEXTS
    else:
        return
    logger.warning("%s: rows %s and have no tabs, so each is read as one word; %s", where, what, expected)


def _two_spaces_to_tabs(path: str) -> str:
    """A command that converts a file of texts."""
    return rf"convert the file, for example with sed -E '/^#/!s/  +/\t/g' {shlex.quote(path)} > NEW_FILE"


def _rows(lines: Sequence[str]) -> list[str]:
    return list(islice((line.rstrip("\r\n") for line in lines if _is_row(line)), ROWS_INSPECTED))


def _is_row(line: str) -> bool:
    return not is_blank(line) and not line.startswith("#")


def _count_columns(row: str, separator: str) -> int:
    """The number of columns of a row; quoted cells may contain the separator."""
    if '"' not in row:
        return row.count(separator) + 1
    try:
        return len(next(csv.reader([row], delimiter=separator), []))
    except csv.Error:
        return row.count(separator) + 1
