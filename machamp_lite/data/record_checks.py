"""Checks the records of a file while they are read: columns, their separator, empty words, word ids."""

import csv
import logging
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from machamp_lite.data.lines import is_blank
from machamp_lite.data.record import FileFormat, Record
from machamp_lite.errors import DataError, FaultList, counted

logger = logging.getLogger(__name__)

# The number of sentences that are read to decide whether the first column contains word ids.
SENTENCES_INSPECTED = 100
# The number of rows that are read to decide what separates columns, and the share of them that must agree.
ROWS_INSPECTED = 200
MIN_AGREEMENT = 0.9


def refuse_word_ids(path: str, records: Iterator[Record], task: str) -> Iterator[Record]:
    """The same records; raises ``DataError`` if their first column contains word ids, as in CoNLL-U."""
    first = list(islice(records, SENTENCES_INSPECTED))
    sentences = [record for record in first if record.rows]
    # In a sentence with one word, 1 may be a label.
    longer = [record for record in sentences if len(record.rows) > 1] or sentences
    counted = sum(map(_has_consecutive_ids, longer))
    if longer and counted > len(longer) / 2:
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
    word_idx: int | None
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
    """Adds a fault for each row without a required column.

    If another character than tab separates the columns, ``wrong_separator`` is true and rows without tabs are skipped:
    ``check_separator`` has reported them.
    """

    required: dict[int, str]
    faults: FaultList
    wrong_separator: bool = False

    def check(self, record: Record) -> None:
        """Adds the faults of one record."""
        needed = max(self.required, default=-1) + 1
        if min(map(len, record.rows), default=needed) >= needed:
            return
        for number, row in enumerate(record.rows):
            if len(row) < needed and not (self.wrong_separator and len(row) == 1):
                missing = min(column for column in self.required if column >= len(row))
                self.faults.add(
                    f"{record.where(number)}: found {counted(len(row), 'column')}, expected at least "
                    f"{needed}: {self.required[missing]} reads column {missing}, counted from 0"
                )


def check_separator(
    path: str,
    number: int,
    lines: Sequence[str],
    file_format: FileFormat,
    required: dict[int, str],
    faults: FaultList,
) -> bool:
    """Adds one fault if the first lines of a file are not separated by tabs; returns whether it did."""
    columns = max(required) + 1
    has_texts = file_format.word_idx is None
    rows = _rows(lines)
    separator = find_separator(rows, columns=columns, has_texts=has_texts)
    first_row = (f"{path}:{index}" for index, line in enumerate(lines, start=number) if _is_row(line))
    where = next(first_row, path)
    if separator is not None:
        faults.add(
            f"{where}: rows are separated by {separator}, expected tabs; {_conversion(separator, path)}"
        )
    elif columns == 1 and not has_texts and _look_separated_by_spaces(rows):
        logger.warning(
            "%s: rows look separated by spaces and have no tabs, so each is read as one word; expected columns "
            "separated by tabs",
            where,
        )
    return separator is not None


def find_separator(rows: Sequence[str], *, columns: int, has_texts: bool) -> str | None:
    """What separates the columns of rows without tabs: ``spaces``, ``commas`` or ``semicolons``.

    None if some row has a tab, or if no separator gives at least ``columns`` columns. In files with texts, a single
    space is not a separator.
    """
    if not rows or columns < 2 or any("\t" in row for row in rows):
        return None
    candidates: dict[str, Callable[[str], int]] = {
        "commas": lambda row: _count_columns(row, ","),
        "semicolons": lambda row: _count_columns(row, ";"),
        "spaces": lambda row: len(re.split(r"\s\s+" if has_texts else r"\s+", row.strip())),
    }
    distinct_counts = {}
    for name, count in candidates.items():
        counts = list(map(count, rows))
        if sum(number >= columns for number in counts) >= MIN_AGREEMENT * len(rows):
            distinct_counts[name] = len(set(counts))
    # Every row has the same number of columns, but texts have different numbers of commas.
    return min(distinct_counts, key=lambda name: distinct_counts[name]) if distinct_counts else None


def _look_separated_by_spaces(rows: Sequence[str]) -> bool:
    """Whether no row has a tab, and all have the same number of parts between spaces, at least two."""
    parts = {len(row.split()) for row in rows}
    return len(rows) > 1 and len(parts) == 1 and max(parts) > 1 and not any("\t" in row for row in rows)


def _conversion(separator: str, path: str) -> str:
    """A command that converts a file."""
    sign = {"spaces": " +", "commas": ",", "semicolons": ";"}[separator]
    condition = "" if separator == "spaces" else f", if no cell contains {separator}"
    return rf"convert the file, for example with sed -E '/^#/!s/{sign}/\t/g' {shlex.quote(path)} > NEW_FILE{condition}"


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
