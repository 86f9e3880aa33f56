"""Checks the records of a file while they are read: columns, their separator, empty words, word ids."""

import csv
import itertools
import logging
import re
import shlex
from collections import Counter
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
_TEXTS = "if each line is a text, use sent_idxs in the dataset config, or --raw_text in prediction"


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
    """Adds one fault if the first lines of a file have no columns separated by tabs, or are CoNLL where texts are read.

    Returns whether it did; then other faults of rows without tabs follow from this one.
    """
    columns = max(required) + 1
    has_texts = file_format.word_idx is None
    rows = _rows(lines)
    separator = find_separator(rows, columns=columns, has_texts=has_texts)
    first_row = (f"{path}:{index}" for index, line in enumerate(lines, start=number) if _is_row(line))
    where = next(first_row, path)
    if separator == "spaces" and not has_texts and not _have_equal_parts(rows):
        faults.add(f"{where}: rows have no tabs and look like texts, expected columns separated by tabs; {_TEXTS}")
    elif separator is not None:
        conversion = _conversion(separator, path, has_texts=has_texts)
        faults.add(f"{where}: rows are separated by {separator}, expected tabs; {conversion}")
    elif has_texts and columns > 1 and _are_sentences_of_words(lines):
        faults.add(
            f"{where}: looks like CoNLL, with one word per line and a blank line after each sentence, but sent_idxs "
            "reads each line as a text; set word_idx to the column of the words instead of sent_idxs"
        )
    else:
        if columns == 1 and not has_texts and not any("\t" in row for row in rows):
            _warn_about_spaces(where, rows)
        return False
    return True


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
        what, expected = "look separated by spaces", "expected columns separated by tabs"
    elif sum(have_spaces) > len(rows) / 2:
        what, expected = "look like texts", _TEXTS
    else:
        return
    logger.warning("%s: rows %s and have no tabs, so each is read as one word; %s", where, what, expected)


def _conversion(separator: str, path: str, *, has_texts: bool) -> str:
    """A command that converts a file."""
    file = shlex.quote(path)
    if has_texts and separator != "spaces":
        # Texts contain commas, so cells are in quotes.
        delimiter = {"commas": ",", "semicolons": ";"}[separator]
        program = (
            "import csv, sys; csv.writer(sys.stdout, 'excel-tab', lineterminator='\\n')"
            f".writerows(csv.reader(sys.stdin, delimiter='{delimiter}'))"
        )
        return f'convert the file, for example with python -c "{program}" < {file} > NEW_FILE'
    sign = {"spaces": "  +" if has_texts else " +", "commas": ",", "semicolons": ";"}[separator]
    condition = "" if separator == "spaces" else f", if no cell contains {separator}"
    return rf"convert the file, for example with sed -E '/^#/!s/{sign}/\t/g' {file} > NEW_FILE{condition}"


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
