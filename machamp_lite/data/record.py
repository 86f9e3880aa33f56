"""A record of a file: one sentence of a CoNLL-like file, or one line of a TSV or raw text file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from machamp_lite.data.lines import line_end

EMPTY = "_"
NODE_ID = re.compile(r"\d+(-\d+|\.\d+)?")


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How to read a file: CoNLL-like, with words in column ``word_idx``, or TSV, with texts in columns ``sent_idxs``.

    With neither, it is plain text with one text per line. If a task writes the first column, which then must not
    contain word ids, ``id_task`` is its name.
    """

    word_idx: int | None = None
    sent_idxs: tuple[int, ...] | None = None
    skip_first_line: bool = False
    id_task: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence (CoNLL, raw text) or one line (TSV) of a file.

    ``lines`` are the lines of the file with their line ends. ``rows`` are the cells of the lines with words, and
    ``row_lines`` are the indices of these lines in ``lines``. A record without rows (a header, only comments) is
    written back unchanged. ``ids`` maps the ids of a CoNLL-U sentence to the positions of its words, from 1.
    """

    path: str
    first_line: int
    lines: list[str]
    rows: list[list[str]] = field(default_factory=list)
    row_lines: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    ids: dict[str, int] | None = None

    def where(self, row: int | None = None) -> str:
        """The ``file:line`` of a row, or of the record's first line."""
        if row is None or not self.rows:
            return f"{self.path}:{self.first_line}"
        return f"{self.path}:{self.first_line + self.row_lines[row]}"

    def column(self, index: int) -> list[str]:
        """The cells of one column; ``_`` where a row has no such column."""
        return column_of(self.rows, index)

    def set_column(self, index: int, values: Sequence[str]) -> None:
        """Writes one column; missing columns before it are filled with ``_``."""
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
        return [match.group(2) for _, match in self._find_comments(name)]

    def comment_names(self) -> list[str]:
        """The names of all comments of the form ``# name = value`` or ``# name: value``."""
        matches = (re.match(r"#\s*([^=:]+?)\s*[=:]", line) for _, line in self.comment_lines())
        return [match.group(1) for match in matches if match]

    def set_comment(self, name: str, value: str) -> None:
        """Writes the value of every comment with this name; if there is none, adds one below the other comments."""
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

    def text(self) -> str:
        """The text of the record as it is written to a file."""
        lines = self.lines.copy()
        for row, index in zip(self.rows, self.row_lines, strict=True):
            lines[index] = "\t".join(row) + line_end(lines[index])
        return "".join(lines)


def column_of(rows: Sequence[Sequence[str]], index: int) -> list[str]:
    """The cells of one column of the rows; ``_`` where a row has no such column."""
    try:
        return [row[index] for row in rows]
    except IndexError:
        return [row[index] if index < len(row) else EMPTY for row in rows]
