"""Files whose columns are separated by something other than tabs."""

import csv
import re
import shlex
from collections.abc import Callable, Sequence
from itertools import islice

from machamp_lite.data.lines import is_blank

# Rows that are inspected: those of many sentences.
LINES_READ = 200
# The share of rows that must agree, so that a few odd rows do not hide a separator.
MOST = 0.9


def find_separator(lines: Sequence[str], *, columns: int, texts: bool) -> str | None:
    """What separates the columns of rows without tabs: ``spaces``, ``commas`` or ``semicolons``.

    ``columns`` is how many are needed at least. None if some row has a tab, or if nothing gives that many columns.
    Where columns hold ``texts``, single spaces separate nothing.
    """
    rows = _rows(lines)
    if not rows or columns < 2 or any("\t" in row for row in rows):
        return None
    candidates: dict[str, Callable[[str], int]] = {
        "commas": lambda row: _columns(row, ","),
        "semicolons": lambda row: _columns(row, ";"),
        "spaces": lambda row: len(re.split(r"\s\s+" if texts else r"\s+", row.strip())),
    }
    fitting = {}
    for name, count in candidates.items():
        counts = list(map(count, rows))
        if sum(number >= columns for number in counts) >= MOST * len(rows):
            fitting[name] = len(set(counts))
    # The number of columns is the same in every row; the number of commas in texts is not.
    return min(fitting, key=lambda name: fitting[name]) if fitting else None


def looks_separated_by_spaces(lines: Sequence[str]) -> bool:
    """Whether no row has a tab, and all have the same number of parts between spaces, at least two."""
    rows = _rows(lines)
    parts = {len(row.split()) for row in rows}
    return len(rows) > 1 and len(parts) == 1 and max(parts) > 1 and not any("\t" in row for row in rows)


def separator_fault(where: str, separator: str, path: str) -> str:
    """The message about a file with another separator, with a command that converts it."""
    return f"{where}: rows are separated by {separator}, expected tabs; {_conversion(separator, path)}"


def _conversion(separator: str, path: str) -> str:
    sign = {"spaces": " +", "commas": ",", "semicolons": ";"}[separator]
    condition = "" if separator == "spaces" else f", if no cell contains {separator}"
    return rf"convert the file, for example with sed -E '/^#/!s/{sign}/\t/g' {shlex.quote(path)} > NEW_FILE{condition}"


def _rows(lines: Sequence[str]) -> list[str]:
    rows = (line.rstrip("\r\n") for line in lines if not is_blank(line) and not line.startswith("#"))
    return list(islice(rows, LINES_READ))


def _columns(row: str, sign: str) -> int:
    """The number of columns of a row; quoted ones may contain the separator ``sign``."""
    if '"' not in row:
        return row.count(sign) + 1
    try:
        return len(next(csv.reader([row], delimiter=sign), []))
    except csv.Error:
        return row.count(sign) + 1
