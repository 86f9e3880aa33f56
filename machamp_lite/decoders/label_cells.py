"""Reads labels from the columns and comments of a record."""

from machamp_lite.config.task_types import COMMENT, LARGEST_NUMBER, WEIGHT_COMMENT
from machamp_lite.data.cells import expected_number, header_hint, parse_number
from machamp_lite.data.records import EMPTY, Column, Record
from machamp_lite.errors import DataError

_UNUSUAL = frozenset(("", EMPTY))


def read_column(record: Record, *, task: str, column: Column) -> list[str]:
    """One label per row; raises ``DataError`` for empty ones."""
    labels = record.column(column)
    if _UNUSUAL.isdisjoint(labels):
        return labels
    if 0 < labels.count(EMPTY) < len(labels):
        # Some of these cells may be missing.
        index = record.names.get(column, 0) if isinstance(column, str) else column
        lengths = list(map(len, record.rows))
        if min(lengths) <= index:
            row = next(row for row, length in enumerate(lengths) if length <= index)
            raise DataError(f"{record.where(row)}: found no column {column} (task '{task}'), which other rows have")
    if "" in labels:
        raise DataError(
            [
                f"{record.where(row)}: found an empty label in column {column} (task '{task}'), expected a label; "
                "write '_' for none"
                for row, label in enumerate(labels)
                if label == ""
            ]
        )
    return labels


def read_sentence_label(record: Record, *, task: str, column: Column) -> str | None:
    """The label of a sentence, from a column or a comment; None without the comment, ``DataError`` if it is empty."""
    if column != COMMENT:
        return read_column(record, task=task, column=column)[0]
    labels = list(dict.fromkeys(record.comments(task)))
    if "" in labels:
        raise DataError(f"{record.where()}: found an empty comment '# {task} =', expected a label")
    if len(labels) > 1:
        found = f"several comments '# {task} =' ({', '.join(labels)})"
        raise DataError(f"{record.where()}: found {found}, expected one label")
    return labels[0] if labels else None


def read_weights(record: Record, *, task: str, column: Column | None, one_per_word: bool) -> list[float] | None:
    """The weights of the words of a record or a single one, 1 for ``_``; None without any.

    Raises ``DataError`` with one line for each cell that is not a number of at least 0.
    """
    if column is None:
        return None
    if column == COMMENT:
        cells, place = record.comments(WEIGHT_COMMENT), f"the comment '# {WEIGHT_COMMENT} ='"
        if len(set(cells)) > 1:
            raise DataError(f"{record.where()}: found several comments '# {WEIGHT_COMMENT} =', expected one")
        cells = cells[:1]
    else:
        cells, place = record.column(column)[: None if one_per_word else 1], f"column {column}"
    if not cells or set(cells) == {EMPTY}:
        return None
    numbers = [1.0 if cell == EMPTY else parse_number(cell) for cell in cells]
    weights = [number for number in numbers if number is not None and 0 <= number <= LARGEST_NUMBER]
    if len(weights) == len(cells):
        return weights
    raise DataError(
        f"{record.where(None if column == COMMENT else row)}: found the weight '{cells[row]}' in {place} (task "
        f"'{task}'), expected a number from 0 to {LARGEST_NUMBER:g}, or '_' for 1{header_hint(record, row, cells[row])}"
        for row, number in enumerate(numbers)
        if number is None or not 0 <= number <= LARGEST_NUMBER
    )


def read_number(text: str, record: Record, *, task: str) -> float:
    """The number in a cell or a comment; raises ``DataError`` for anything else."""
    number = parse_number(text)
    if number is None:
        raise DataError(
            f"{record.where(0)}: found '{text}' (task '{task}'), {expected_number(text)}"
            f"{header_hint(record, 0, text)}"
        )
    return number
