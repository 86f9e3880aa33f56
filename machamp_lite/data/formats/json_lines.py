"""JSON lines: one object per line. Prediction replaces the values of its columns; every other byte is kept."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from machamp_lite.data.formats.delimited import BYTE_ORDER_MARK
from machamp_lite.data.formats.objects import Number, make_record, predicted_cells, to_json, updated
from machamp_lite.data.lines import is_blank, read_lines
from machamp_lite.data.record import Column, FileFormat, Record
from machamp_lite.errors import DataError, FaultList

# In characters. Python needs about 30 times the memory for the values.
MAX_LINE = 2**22
_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)
_SPACES = re.compile(r"[ \t\r\n]*")


def read(
    path: str | os.PathLike[str],
    file_format: FileFormat,
    *,
    required: Mapping[Column, str],
    faults: FaultList,
) -> Iterator[Record]:
    """Reads a file; adds a fault for each line that is no object with the required columns."""
    name = str(path)
    for first, lines in read_lines(path, faults):
        for number, line in enumerate(lines, start=first):
            if number == 1 and line.startswith(BYTE_ORDER_MARK):
                line = line.removeprefix(BYTE_ORDER_MARK)
                yield Record(name, number, [BYTE_ORDER_MARK])
            if is_blank(line):
                yield Record(name, number, [line])
                continue
            try:
                values = _parse(line)
            except ValueError as error:
                if number == 1 and line.startswith("["):
                    raise DataError(
                        f"{name}:1: found a JSON list, expected one object per line; convert the file, for example "
                        "with jq -c '.[]' FILE > NEW_FILE"
                    ) from None
                faults.add(f"{name}:{number}: found {error}, expected one JSON object per line")
                continue
            record = make_record(name, number, line, values, file_format, required=required, faults=faults)
            if record is not None:
                yield record


def _parse(line: str) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise ValueError(f"a line of {len(line)} characters, of which {MAX_LINE} are allowed")
    try:
        values = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON ({error.msg} at column {error.pos + 1})") from None
    except RecursionError:
        raise ValueError("deeply nested values") from None
    if not isinstance(values, dict):
        raise ValueError(f"a JSON {'list' if isinstance(values, list) else 'value'}")
    return values


@contextlib.contextmanager
def writer(
    file: TextIO, source: str | os.PathLike[str], file_format: FileFormat
) -> Iterator[Callable[[Record], object]]:
    """A function that writes records."""
    yield lambda record: file.write(_new_line(record, file_format))


def _new_line(record: Record, file_format: FileFormat) -> str:
    """The line of a record with new values; the first changed one comes last, so that positions stay."""
    (line,) = record.lines
    cells = predicted_cells(record, file_format)
    if not cells:
        return line
    members, end = _members(line)
    added, changes = "", []
    for name, new in cells.items():
        value, start, stop = members.get(name, (None, end, end))
        changed = updated(value, new)
        if name in members and changed != value:
            changes.append((start, stop, to_json(changed)))
        elif name not in members and changed is not None:
            added += f"{', ' if members or added else ''}{json.dumps(name, ensure_ascii=False)}: {to_json(changed)}"
    for start, stop, text in sorted([*changes, (end, end, added)], reverse=True):
        line = line[:start] + text + line[stop:]
    return line


def _members(line: str) -> tuple[dict[str, tuple[Any, int, int]], int]:
    """The values of an object with their start and end by key, and where another member could be added."""
    members = {}
    index = _skip(line, _skip(line, 0) + 1)
    end = index
    while line[index] != "}":
        key, index = _DECODER.raw_decode(line, index)
        start = _skip(line, _skip(line, index) + 1)
        value, end = _DECODER.raw_decode(line, start)
        members[key] = value, start, end
        index = _skip(line, end)
        if line[index] == ",":
            index = _skip(line, index + 1)
    return members, end


def _skip(line: str, index: int) -> int:
    """The index of the next character that is not white space."""
    found = _SPACES.match(line, index)
    return index if found is None else found.end()
