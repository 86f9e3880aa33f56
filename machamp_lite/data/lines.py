"""The lines of a file as they are: UTF-8, ended by line feeds alone."""

import os
from collections.abc import Iterator

from machamp_lite.data.formats import check_format
from machamp_lite.errors import DataError, FaultList

# In memory beside what is made of them.
BYTES_AT_ONCE = 2**18

# The number of the first of some lines, and the lines.
LineBlock = tuple[int, list[str]]


def numbered_lines(path: str | os.PathLike[str], faults: FaultList) -> Iterator[LineBlock]:
    """Lines, ends untouched; raises ``DataError`` for a file that cannot be read or is of another format."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        # Reading a pipe would wait, maybe for ever, and training reads files twice.
        raise DataError(f"{path}: is a pipe or a device, expected a file")
    try:
        # Read as bytes: only a line feed ends a line, and nothing is translated.
        with open(path, "rb") as file:
            number = 1
            while lines := file.readlines(BYTES_AT_ONCE):
                if number == 1:
                    check_format(str(path), b"".join(lines))
                try:
                    yield number, list(map(bytes.decode, lines))
                except UnicodeDecodeError:
                    # One by one, so that a fault is told when its line is asked for.
                    for place, line in enumerate(lines, start=number):
                        yield place, [_decode(line, f"{path}:{place}", faults)]
                number += len(lines)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _decode(line: bytes, where: str, faults: FaultList) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        faults.add(
            f"{where}: found the byte 0x{line[error.start]:02x} at column {error.start + 1}, "
            "expected UTF-8; convert the file, for example with iconv -f LATIN1 -t UTF-8"
        )
        # Read on: the file's other faults are told too.
        return line.decode("utf-8", errors="replace")


def is_blank(line: str) -> bool:
    """Whether a line ends a sentence: it may hold spaces and tabs."""
    return not line.strip(" \t\r\n")
