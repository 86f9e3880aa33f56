"""Warns about inputs of prediction that have another form than the training data."""

from collections.abc import Iterable, Iterator

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.cells import SKIP_HEADER, is_column_name
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.errors import counted, shorten

# The number of words that are inspected.
WORDS_INSPECTED = 1000


class InputChecker:
    """Looks for a header and missing columns where texts are read, and for texts where words are read.

    Records are checked before labels are written into them.
    """

    def __init__(self, path: str, config: DatasetConfig) -> None:
        self.path = path
        self.config = config.active()
        self.header: list[str] = []
        # The number of rows with each number of columns, and the first of them.
        self.rows: dict[int, int] = {}
        self.first: dict[int, str] = {}
        # The first words, and those of them with spaces.
        self.words = 0
        self.with_spaces: list[str] = []

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yields the records, and checks them."""
        for record in records:
            if self.config.word_idx is not None:
                self._count_words(record.words[: WORDS_INSPECTED - self.words])
                yield record
                continue
            for row in record.rows:
                if record.first_line == 1 and not record.names and self._is_header(row, record.words):
                    self.header = record.words
                self.rows[len(row)] = self.rows.get(len(row), 0) + 1
                self.first.setdefault(len(row), record.where(0))
            yield record

    def _count_words(self, words: list[str]) -> None:
        self.words += len(words)
        self.with_spaces += [word for word in words if " " in word.strip()]

    def _is_header(self, row: list[str], texts: list[str]) -> bool:
        columns = self._numbered_columns()
        labels = [row[column] for column in columns if column < len(row) and row[column] != EMPTY]
        return all(is_column_name(cell, self.config.tasks) for cell in (*texts, *labels))

    def _numbered_columns(self) -> set[int]:
        """The columns of labels; those with names are found by their names."""
        columns = (column for options in self.config.tasks.values() for column in options.columns())
        return {column for column in columns if isinstance(column, int)}

    def warnings(self) -> Iterator[str]:
        """The warnings about all rows so far."""
        if len(self.with_spaces) > self.words / 2:
            yield (
                f"{self.path}: column {self.config.word_idx}, which is read as words, mostly has texts with spaces "
                f"('{shorten(self.with_spaces[0])}'); expected one word per line, or the flag --raw_text and a file "
                "with nothing but text"
            )
        if self.header:
            texts = "', '".join(self.header)
            yield (
                f"{self.path}:1: looks like a header ('{texts}') but is predicted as data; remove the line, or train "
                f"the model with {SKIP_HEADER}"
            )
        written = self._numbered_columns()
        needed, most = max(written, default=-1) + 1, max(self.rows, default=0)
        short = [length for length in sorted(self.rows) if length < min(needed, most)]
        if short:
            number = sum(self.rows[length] for length in short)
            have = "row has" if number == 1 else "rows have"
            yield (
                f"{self.first[short[0]]}: found {counted(short[0], 'column')}, but other rows have {most}: {number} "
                f"{have} fewer columns, and the missing ones are filled with '{EMPTY}'"
            )
        elif most and (filled := sorted(set(range(most, needed)) - written)):
            columns = ", ".join(map(str, filled))
            yield (
                f"{self.path}: rows have {counted(most, 'column')}, and labels are written to column {max(written)}: "
                f"column{'s' * (len(filled) > 1)} {columns} before it will have '{EMPTY}'; does the file have the "
                "columns of the training data?"
            )
