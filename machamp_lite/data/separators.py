"""Files whose columns are separated by something else than tabs."""

import csv
import re
from collections.abc import Callable, Sequence

from machamp_lite.data.lines import is_blank

# Lines that are looked at: those of many sentences.
LINES_READ = 200
# Of the rows, so that an odd one does not hide what all others show.
MOST = 0.9


def find_separator(lines: Sequence[str], *, columns: int, texts: bool) -> str | None:
    """What separates the columns of rows without tabs: ``spaces``, ``commas`` or ``semicolons``.

    ``columns`` is how many are needed at least. None if some row has a tab, or if nothing gives that many columns.
    Where columns hold ``texts``, single spaces separate nothing.
    """
    rows = [line.rstrip("\r\n") for line in lines if not is_blank(line) and not line.startswith("#")]
    rows = rows[:LINES_READ]
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
    # Columns are as many in every row, commas in texts are not.
    return min(fitting, key=lambda name: fitting[name]) if fitting else None


def looks_separated_by_spaces(lines: Sequence[str]) -> bool:
    """Whether rows without tabs, which may be words alone, each hold as many parts between spaces, and several."""
    rows = [line for line in lines if not is_blank(line) and not line.startswith("#")][:LINES_READ]
    parts = {len(row.split()) for row in rows}
    return len(rows) > 1 and len(parts) == 1 and max(parts) > 1 and not any("\t" in row for row in rows)


def separator_fault(where: str, separator: str, path: str) -> str:
    """The line of a file whose rows are separated in another way, with a command that converts it."""
    return f"{where}: rows are separated by {separator}, expected tabs; {_conversion(separator, path)}"


def _conversion(separator: str, path: str) -> str:
    if separator == "spaces":
        return rf"convert the file, for example with sed -E '/^#/!s/ +/\t/g' {path} > NEW_FILE"
    sign = {"commas": ",", "semicolons": ";"}[separator]
    return (
        "convert the file, for example in Python with "
        f"pandas.read_csv('{path}', sep='{sign}').to_csv('NEW_FILE', sep='\\t', index=False)"
    )


def _columns(row: str, sign: str) -> int:
    """How many columns a row has, where quoted ones may hold the sign."""
    if '"' not in row:
        return row.count(sign) + 1
    try:
        return len(next(csv.reader([row], delimiter=sign), []))
    except csv.Error:
        return row.count(sign) + 1
