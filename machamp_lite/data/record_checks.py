"""What is checked of each record of a file while it is read."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from machamp_lite.data.lines import is_blank
from machamp_lite.data.record import FileFormat, Record
from machamp_lite.data.separators import find_separator, looks_separated_by_spaces, separator_fault
from machamp_lite.errors import DataError, FaultList

logger = logging.getLogger(__name__)

# Sentences that are read before it is decided whether the first column of a file holds ids.
SENTENCES_LOOKED_AT = 100


def without_ids(path: str, records: Iterator[Record], task: str) -> Iterator[Record]:
    """The same records; raises ``DataError`` if their first column holds the ids of words, as in CoNLL-U."""
    first = list(islice(records, SENTENCES_LOOKED_AT))
    sentences = [record for record in first if record.rows]
    # In a sentence of one word, 1 may be a label.
    longer = [record for record in sentences if len(record.rows) > 1] or sentences
    counted = sum(map(_has_counted_ids, longer))
    if longer and counted > len(longer) / 2:
        raise DataError(
            f"{path}: found the ids of words in column 0, as in CoNLL-U, and the task '{task}' would overwrite them; "
            "expected another column_idx"
        )
    return chain(first, records)


def _has_counted_ids(record: Record) -> bool:
    return record.ids is not None and list(record.ids) == [
        str(number + 1) for number in range(len(record.rows))
    ]


@dataclass(slots=True)
class EmptyWords:
    """Counts empty words: each is a fault, or all are one warning if there is no list of ``faults``."""

    path: str
    word_idx: int | None
    faults: FaultList | None
    count: int = 0
    first: str = ""

    def check(self, record: Record) -> None:
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
        if self.count and self.faults is None:
            words = "words are" if self.count > 1 else "word is"
            message = "%s: %d %s empty (the first at %s) and read as an unknown subword"
            logger.warning(message, self.path, self.count, words, self.first)


@dataclass(slots=True)
class ColumnChecker:
    """Adds a fault for each row that lacks a required column.

    If another fault says that columns are ``separated`` by something other than tabs, rows without tabs are not listed.
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


def check_separator(
    path: str, number: int, lines: Sequence[str], layout: FileFormat, required: dict[int, str], faults: FaultList
) -> bool:
    """Reports, once per file, that columns are not separated by tabs; returns whether that is a fault."""
    columns = max(required) + 1
    texts = layout.word_idx is None
    separator = find_separator(lines, columns=columns, texts=texts)
    # The place of the first row.
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
