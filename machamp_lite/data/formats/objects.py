"""Records of formats with named values per sentence (JSON lines, Arrow, Parquet), and new values from records.

Cells are strings. A null is ``_``, true and false are words, and the labels in a list are joined by ``|``. With
``word_idx``, a column of words or of labels is a list with one item per word.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from machamp_lite.data.record import EMPTY, Column, FileFormat, Record
from machamp_lite.errors import DataError, FaultList, did_you_mean, shorten

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Separates the labels of a set.
SEPARATOR = "|"
_SURROGATE = re.compile("[\ud800-\udfff]")
# By column, the text of a sentence, or one text per word.
Cells = dict[str, str | list[str]]


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def to_text(value: Any) -> str:
    """A value as a cell; raises ``ValueError`` for objects and other values that are not text.

    >>> to_text(None), to_text(True), to_text(["a", "b"]), to_text([])
    ('_', 'true', 'a|b', '_')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return EMPTY
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        if any(isinstance(part, list) for part in value):
            raise ValueError("a list of lists")
        texts = list(map(to_text, value))
        if any(SEPARATOR in text for text in texts):
            raise ValueError(f"a list with '{SEPARATOR}', which separates labels,")
        return SEPARATOR.join(texts) or EMPTY
    raise ValueError(f"a value of type {type(value).__name__.replace('dict', 'object')}")


def to_value(text: str, old: Any = None) -> Any:
    """The value of a cell, of the type of the old value; numbers are numbers if there was no value.

    >>> to_value("a|b", ["c"]), to_value("3", "2"), to_value("true", False), to_value("_", ["a"])
    (['a', 'b'], '3', True, [])
    """
    if isinstance(old, list):
        if text == to_text(old):
            return old
        return [] if text == EMPTY else [to_value(part, next(iter(old), None)) for part in text.split(SEPARATOR)]
    if isinstance(old, bool) and text in ("true", "false"):
        return text == "true"
    if isinstance(old, str) and not isinstance(old, Number):
        return text
    if text == EMPTY:
        return None
    return Number(text) if _NUMBER.fullmatch(text) else text


def make_record(
    path: str,
    number: int,
    line: str,
    values: Mapping[str, Any],
    file_format: FileFormat,
    *,
    required: Mapping[Column, str],
    faults: FaultList,
) -> Record | None:
    """The record of one object; None if it has faults, which are added.

    Values per sentence beside words are the ``values`` of the record.
    """
    where, before = f"{path}:{number}", faults.count
    for column, reader in required.items():
        # In training data, a null is a sentence without this label; lists have one item per word.
        if column not in values:
            found = f"found no '{column}', which {reader} reads"
            faults.add(f"{where}: {found}{did_you_mean(str(column), values)}")
    columns = list(
        dict.fromkeys(
            str(column)
            for column in (*file_format.input_columns, *file_format.label_columns, *file_format.other_columns)
            if column not in file_format.sentence_values
        )
    )
    names = {name: index for index, name in enumerate(columns)}
    texts = [str(column) for column in file_format.input_columns]
    try:
        per_sentence = _checked(where, {name: values.get(name) for name in file_format.sentence_values})
        if file_format.word_idx is None:
            cells = _checked(where, {name: values.get(name) for name in columns})
            texts_of = ["" if values.get(name) is None else cells[name] for name in texts]
            rows, words = [list(cells.values())], texts_of
            for name in texts:
                if isinstance(values.get(name), list):
                    raise DataError(f"{where}: found a list in '{name}', expected a text; word_idx reads lists")
        else:
            lists = _lists(where, values, columns, is_required=required.keys())
            words = ["" if word is None else text for word, text in zip(values[columns[0]], lists[0], strict=True)]
            if any(isinstance(word, list) for word in values[columns[0]]):
                raise DataError(f"{where}: found a list in a list in '{columns[0]}', expected a list of words")
            rows = list(map(list, zip(*lists, strict=True)))
    except DataError as error:
        # Without words, a missing column was reported above.
        for fault in error.faults:
            faults.add(fault)
        return None
    except KeyError:
        return None
    if faults.count > before:
        return None
    return Record(
        path,
        number,
        [line],
        rows,
        [0] * len(rows),
        words,
        names=names,
        values=None if file_format.word_idx is None else per_sentence,
    )


def _checked(where: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Values as cells."""
    return {name: _cell(where, name, value) for name, value in values.items()}


def _cell(where: str, name: str, value: Any) -> str:
    try:
        text = to_text(value)
    except ValueError as error:
        raise DataError(f"{where}: found {error} in '{name}', expected a text, a number or a list of labels") from None
    if not text.isascii() and _SURROGATE.search(text):
        raise DataError(f"{where}: found half of a surrogate pair in '{name}', expected whole characters")
    return text


def _lists(
    where: str, values: Mapping[str, Any], columns: Sequence[str], *, is_required: Any
) -> list[list[str]]:
    """The cells of each column with one item per word; the first column has the words."""
    words, found = values[columns[0]], []
    for name in columns:
        value = values.get(name)
        if value is None and name not in is_required and name != columns[0]:
            found.append([EMPTY] * len(words))
            continue
        if not isinstance(value, list):
            shown = "null" if value is None else f"'{shorten(str(value))}'"
            raise DataError(f"{where}: found {shown} in '{name}', expected a list with one item per word")
        if len(value) != len(words):
            raise DataError(
                f"{where}: found {len(value)} items in '{name}', expected {len(words)}, one per word of '{columns[0]}'"
            )
        found.append([_cell(where, name, item) for item in value])
    return found


def predicted_cells(record: Record, file_format: FileFormat) -> Cells:
    """The cells of the columns that prediction writes: one text per sentence, or one per word."""
    if not record.rows:
        return {}
    return {
        name: record.column(name) if is_list(name, file_format) else record.column(name)[0]
        for name in map(str, file_format.label_columns)
    }


def is_list(name: str, file_format: FileFormat) -> bool:
    """Whether a column has one item per word."""
    return file_format.word_idx is not None and name not in file_format.sentence_values


def updated(old: Any, cells: str | list[str]) -> Any:
    """The new value of a column, of the type of the old value; the old value if the cells are the same."""
    if isinstance(cells, str):
        return to_value(cells, old) if old is None or to_text(old) != cells else old
    items: list[Any] = old if isinstance(old, list) and len(old) == len(cells) else [None] * len(cells)
    # A label that was a string stays one, whatever it looks like.
    like = next((item for item in items if item is not None), None)
    return [
        item if to_text(item) == cell else to_value(cell, like if item is None else item)
        for item, cell in zip(items, cells, strict=True)
    ]


def to_json(value: Any) -> str:
    """A value as JSON; numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(to_json, value))}]"
    return json.dumps(value, ensure_ascii=False)
