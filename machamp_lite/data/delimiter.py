"""Splits the rows of text files into cells, and writes changed cells back into a row."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from machamp_lite.data.lines import line_end

# Any number of spaces and tabs; as in CoNLL-2003.
SPACES = " "
_QUOTE = '"'
# A quoted cell; a quote in it is doubled.
_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')
_WITHOUT_SPACES = re.compile(r"[^ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class Delimiter:
    """What separates cells: one character, or with ``SPACES`` any number of spaces and tabs.

    With ``quoting``, a cell in double quotes may contain separators and line ends, as in CSV (RFC 4180).

    >>> Delimiter(",", quoting=True).split('a,"b, ""c"", d"')
    ['a', 'b, "c", d']
    """

    separator: str = "\t"
    quoting: bool = False

    def split(self, line: str) -> list[str]:
        """The cells of a row."""
        return self.split_lines([line])[0]

    def split_lines(self, lines: Sequence[str]) -> list[list[str]]:
        """The cells of each row."""
        if self.quoting:
            return [list(map(_unquote, self._quoted_cells(line.rstrip("\r\n")) or [""])) for line in lines]
        if self.separator == SPACES:
            return [_WITHOUT_SPACES.findall(line) for line in lines]
        return [line.rstrip("\r\n").split(self.separator) for line in lines]

    def is_open(self, line: str) -> bool:
        """Whether the last cell of a row is in quotes that do not end in it."""
        return self._quoted_cells(line.rstrip("\r\n")) is None

    def replace(self, line: str, row: Sequence[str]) -> str:
        """The line with these cells; unchanged ones are written as they were."""
        if self.separator == SPACES:
            return _replace_between_spaces(line, row)
        if not self.quoting:
            return self.separator.join(row) + line_end(line)
        old = self._quoted_cells(line.rstrip("\r\n")) or []
        # Some programs put all cells in quotes.
        always = bool(old) and all(cell.startswith(_QUOTE) for cell in old)
        cells = [
            before if before is not None and _unquote(before) == cell else self._quote(cell, before, always=always)
            for before, cell in zip_longest(old, row)
        ]
        # An empty line would not be a row.
        return (self.separator.join(cells) or '""') + line_end(line)

    def _quoted_cells(self, text: str) -> list[str] | None:
        """The cells with their quotes; None if the last one is in quotes that do not end."""
        if _QUOTE not in text:
            return text.split(self.separator)
        cells: list[str] = []
        start = 0
        while True:
            after = start
            if text.startswith(_QUOTE, start):
                quoted = _QUOTED.match(text, start)
                if quoted is None:
                    return None
                after = quoted.end()
            end = text.find(self.separator, after)
            if end < 0:
                return [*cells, text[start:]]
            cells.append(text[start:end])
            start = end + 1

    def _quote(self, cell: str, before: str | None, *, always: bool) -> str:
        was_quoted = before is not None and before.startswith(_QUOTE)
        needs_quotes = any(sign in cell for sign in (self.separator, _QUOTE, "\n", "\r"))
        if not (always or was_quoted or needs_quotes):
            return cell
        return _QUOTE + cell.replace(_QUOTE, 2 * _QUOTE) + _QUOTE


TABS = Delimiter()


def _unquote(cell: str) -> str:
    quoted = _QUOTED.match(cell)
    if quoted is None:
        return cell
    # Python's csv module too keeps what follows the quotes.
    return quoted.group()[1:-1].replace(2 * _QUOTE, _QUOTE) + cell[quoted.end() :]


def _replace_between_spaces(line: str, row: Sequence[str]) -> str:
    parts, end = [], 0
    for found, cell in zip(_WITHOUT_SPACES.finditer(line), row, strict=False):
        parts += [line[end : found.start()], cell]
        end = found.end()
    # zip() stops at the shorter one: the remaining cells are new.
    new = row[len(parts) // 2 :]
    return "".join([*parts, *(f" {cell}" for cell in new), line[end:]])
