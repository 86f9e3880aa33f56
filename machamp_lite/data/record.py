"""A record of a file: one sentence, or one row of texts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from machamp_lite.data.delimiter import TABS, Delimiter
from machamp_lite.data.lines import line_end
from machamp_lite.errors import DataError

EMPTY = "_"
NODE_ID = re.compile(r"\d+(-\d+|\.\d+)?")


# A column by its number, from 0, or by its name.
Column = int | str


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How to read a file: with words in column ``word_idx``, or with texts in columns ``sent_idxs``.

    With neither, it is plain text with one text per line. ``name`` is one of ``machamp_lite.data.formats.FORMATS``;
    without one, the suffix of the file decides. ``label_columns`` are written by prediction, ``other_columns`` are
    only read. In a file with words, ``sentence_values`` are the names of values per sentence. If a task writes the
    first column, which then must not contain word ids, ``id_task`` is its name.
    """

    word_idx: Column | None = None
    sent_idxs: tuple[Column, ...] | None = None
    skip_first_line: bool = False
    id_task: str | None = None
    name: str | None = None
    separator: str | None = None
    quoting: bool | None = None
    label_columns: tuple[Column, ...] = ()
    other_columns: tuple[Column, ...] = ()
    sentence_values: tuple[str, ...] = ()

    @property
    def input_columns(self) -> tuple[Column, ...]:
        """The columns of the words or texts."""
        return (self.sent_idxs or ()) if self.word_idx is None else (self.word_idx,)

    @property
    def has_names(self) -> bool:
        """Whether columns have names, so that a file with delimiters has a header."""
        columns = (*self.input_columns, *self.label_columns, *self.other_columns)
        return any(isinstance(column, str) and column not in self.sentence_values for column in columns)


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence, or one row of texts.

    ``lines`` are the lines of the file with their line ends. ``rows`` are the cells of the lines with words, and
    ``row_lines`` are the indices of these lines in ``lines``. A record without rows (a header, only comments) is
    written back unchanged. ``ids`` maps the ids of a CoNLL-U sentence to the positions of its words, from 1.
    ``names`` are the positions of named columns in a row. ``values`` are the values per sentence of formats that
    have no comments.
    """

    path: str
    first_line: int
    lines: list[str]
    rows: list[list[str]] = field(default_factory=list)
    row_lines: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    ids: dict[str, int] | None = None
    names: Mapping[str, int] = field(default_factory=dict)
    values: dict[str, str] | None = None

    def where(self, row: int | None = None) -> str:
        """The ``file:line`` of a row, or of the record's first line."""
        if row is None or not self.rows:
            return f"{self.path}:{self.first_line}"
        return f"{self.path}:{self.first_line + self.row_lines[row]}"

    def column(self, column: Column) -> list[str]:
        """The cells of one column, ``_`` where a row has no such column.

        In each row of a sentence, a value per sentence is the same.
        """
        index = column if isinstance(column, int) else self.names.get(column)
        if index is None:
            return [self.comment(str(column)) or EMPTY] * len(self.rows)
        return column_of(self.rows, index)

    def set_column(self, column: Column, values: Sequence[str]) -> None:
        """Writes one column or a value per sentence; missing columns before it are filled with ``_``."""
        index = column if isinstance(column, int) else self.names.get(column)
        if index is None:
            self.set_comment(str(column), values[0])
            return
        for row, value in zip(self.rows, values, strict=True):
            row.extend([EMPTY] * (index + 1 - len(row)))
            row[index] = value

    def comment_lines(self) -> Iterator[tuple[int, str]]:
        """The comments above the first row, with their indices in ``lines``."""
        end = self.row_lines[0] if self.row_lines else 0
        return ((index, line) for index, line in enumerate(self.lines[:end]) if line.startswith("#"))

    def comment(self, name: str) -> str | None:
        """The value of the first ``# name = value`` or ``# name: value``; None if there is no such comment."""
        return next(iter(self.comments(name)), None)

    def comments(self, name: str) -> list[str]:
        """The values of all comments with this name."""
        if self.values is not None:
            value = self.values.get(name, EMPTY)
            return [] if value == EMPTY else [value]
        return [match.group(2) for _, match in self._find_comments(name)]

    def comment_names(self) -> list[str]:
        """The names of all comments of the form ``# name = value`` or ``# name: value``."""
        if self.values is not None:
            return list(self.values)
        matches = (re.match(r"#\s*([^=:]+?)\s*[=:]", line) for _, line in self.comment_lines())
        return [match.group(1) for match in matches if match]

    def set_comment(self, name: str, value: str) -> None:
        """Writes the value of every comment with this name; if there is none, adds one below the other comments."""
        if self.values is not None:
            self.values[name] = value
            return
        if "\n" in value:
            raise self._cannot_be_written(0, value)
        found = self._find_comments(name)
        for index, match in found:
            self.lines[index] = f"{match.group(1)}{value}{match.group(3)}"
        if found:
            return
        first_row = self.row_lines[0]
        # Multiword rows and empty nodes before the first word are rows, not comments.
        nodes = (index for index in range(first_row) if NODE_ID.match(self.lines[index]))
        index = next(nodes, first_row)
        self.lines.insert(index, f"# {name} = {value}{line_end(self.lines[index]) or chr(10)}")
        self.row_lines[:] = [line + 1 for line in self.row_lines]

    def _find_comments(self, name: str) -> list[tuple[int, re.Match[str]]]:
        pattern = re.compile(rf"(#\s*{re.escape(name)}\s*[=:][ \t]*)(.*?)([ \t]*\r?\n?)", re.DOTALL)
        matches = ((index, pattern.fullmatch(line)) for index, line in self.comment_lines())
        return [(index, match) for index, match in matches if match]

    def text(self, delimiter: Delimiter = TABS) -> str:
        """The text of the record as it is written to a file with columns.

        Raises ``DataError`` for a label that contains the delimiter or a line feed and cannot be quoted.
        """
        lines = self.lines.copy()
        if delimiter is TABS:
            for number, (row, index) in enumerate(zip(self.rows, self.row_lines, strict=True)):
                text = "\t".join(row)
                # A line of plain text is one cell and may have tabs.
                if ("\n" in text or text.count("\t") >= len(row)) and text != lines[index].rstrip("\r\n"):
                    cell = next(cell for cell in row if "\t" in cell or "\n" in cell)
                    raise self._cannot_be_written(number, cell)
                lines[index] = text + line_end(lines[index])
            return "".join(lines)
        for number, (row, index) in enumerate(zip(self.rows, self.row_lines, strict=True)):
            lines[index] = delimiter.replace(lines[index], row)
            if not delimiter.quoting and (delimiter.split(lines[index]) != row or "\n" in lines[index].rstrip("\r\n")):
                cell = next(cell for cell in row if "\n" in cell or delimiter.split(cell) != [cell])
                raise self._cannot_be_written(number, cell)
        return "".join(lines)

    def _cannot_be_written(self, row: int, cell: str) -> DataError:
        what = "a line feed" if "\n" in cell else "the separator of columns"
        return DataError(
            f"{self.where(row)}: the label {cell!r} contains {what} and cannot be written; convert the file to "
            "another format"
        )


def column_of(rows: Sequence[Sequence[str]], index: int) -> list[str]:
    """The cells of one column of the rows; ``_`` where a row has no such column."""
    try:
        return [row[index] for row in rows]
    except IndexError:
        return [row[index] if index < len(row) else EMPTY for row in rows]
