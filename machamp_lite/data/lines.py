"""Reads the lines of a text file without changes, and recognises files that are not UTF-8 text.

Only a line feed ends a line; line ends are kept. Files that are compressed by gzip are decompressed.
"""

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

from machamp_lite.errors import DataError, FaultList

# A file is read in blocks of about this many bytes.
BLOCK_BYTES = 2**18

# The number of the first line, from 1, and the lines.
LineBlock = tuple[int, list[str]]

# How many bytes are searched for signs of UTF-16 and UTF-32.
_HEAD_BYTES = 4096
_UNPACK = "expected text; unpack it with"
_GZIP = b"\x1f\x8b"
# A gzip file of a few bytes can contain many gigabytes. Text is rarely compressed to less than a 30th.
MAX_GZIP_RATIO, UNLIMITED_BYTES = 100, 2**27
_SIGNATURES = {
    _GZIP: f"a gzip file in a gzip file, {_UNPACK} gunzip",
    b"PAR1": 'a Parquet file; set "format": "parquet" in the dataset config, or name it .parquet',
    b"ARROW1": 'an Arrow file; set "format": "arrow" in the dataset config, or name it .arrow',
    b"BZh": f"a bzip2 file, {_UNPACK} bunzip2",
    b"\xfd7zXZ\x00": f"an xz file, {_UNPACK} unxz",
    b"\x28\xb5\x2f\xfd": f"a zstd file, {_UNPACK} unzstd",
    b"7z\xbc\xaf\x27\x1c": f"a 7z file, {_UNPACK} 7z x",
    b"PK\x03\x04": f"a zip file (or one of Word, Excel or LibreOffice), {_UNPACK} unzip, or save it as text",
    b"%PDF-": "a PDF file, expected text",
}
# Text may begin with BZh too; in a bzip2 file, these bytes follow.
_BZIP2_BLOCK = b"1AY&SY"
# UTF-32 comes first: its byte order mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_WHITE_SPACE = (b"\t", b"\n", b" ")

_DOCUMENT_MARK = "-DOCSTART-"
_DOCUMENT_LINE = re.compile(rf"{_DOCUMENT_MARK}(?!\S)")
# A hashtag has no space and no value.
_NOT_IN_HASHTAGS = re.compile(r"[\s=:]")


def read_lines(path: str | os.PathLike[str], faults: FaultList) -> Iterator[LineBlock]:
    """Yields the lines of a file in blocks; lines that are not UTF-8 are added to ``faults``.

    Raises ``DataError`` for a file that cannot be read or is not text.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        # Reading a pipe could block forever, and training reads files twice.
        raise DataError(f"{path}: is a pipe or a device, expected a file")
    try:
        with open_data(path) as file:
            number = 1
            while lines := file.readlines(BLOCK_BYTES):
                if number == 1:
                    check_format(str(path), b"".join(lines))
                try:
                    yield number, list(map(bytes.decode, lines))
                except UnicodeDecodeError:
                    # One by one, so that faults are in the order of lines.
                    for line_number, line in enumerate(lines, start=number):
                        yield line_number, [_decode(line, f"{path}:{line_number}", faults)]
                number += len(lines)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def open_data(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a file, and decompresses it if it is a gzip file; its bytes say so, not its name."""
    with open(path, "rb") as file:
        is_gzip = file.read(len(_GZIP)) == _GZIP
    return io.BufferedReader(cast(Any, _LimitedGzip(path)), BLOCK_BYTES) if is_gzip else open(path, "rb")


class _LimitedGzip(io.RawIOBase):
    """The content of a gzip file; raises ``ValueError`` if it is damaged or unusually large."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._content = gzip.GzipFile(path, "rb")
        self._limit = max(UNLIMITED_BYTES, MAX_GZIP_RATIO * os.path.getsize(path))
        self._read = 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads up to the size of the buffer."""
        try:
            count = self._content.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"the gzip file is damaged: {error}") from None
        self._read += count
        if self._read > self._limit:
            raise ValueError(
                f"the gzip file expands to more than {MAX_GZIP_RATIO} times its size; if it is safe, use gunzip"
            )
        return count

    def close(self) -> None:
        """Closes the file too."""
        self._content.close()
        super().close()


def _decode(line: bytes, where: str, faults: FaultList) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        faults.add(
            f"{where}: found the byte 0x{line[error.start]:02x} at column {error.start + 1}, "
            "expected UTF-8; convert the file, for example with iconv -f LATIN1 -t UTF-8"
        )
        # Reading continues, so that the other faults of the file are reported too.
        return line.decode("utf-8", errors="replace")


def is_blank(line: str) -> bool:
    """Whether a line ends a sentence: it may contain spaces and tabs."""
    return not line.strip(" \t\r\n")


def line_end(line: str) -> str:
    """The line end of a line; empty if it has none."""
    return line[len(line.rstrip("\r\n")) :]


def count_leading_lines(lines: Sequence[str], word_idx: int) -> int:
    """Counts the comments and the document marks of CoNLL-2003 (``-DOCSTART-``) at the start of a sentence.

    Columns are separated by tabs.
    """
    tabs = lines[-1].count("\t") if lines else 0
    for number, line in enumerate(lines):
        if line.startswith("#"):
            if not _is_comment(line, tabs, word_idx):
                return number
        elif _DOCUMENT_MARK not in line or not is_document_mark(line.rstrip("\r\n").split("\t"), word_idx):
            return number
    return len(lines)


def _is_comment(line: str, tabs: int, word_idx: int) -> bool:
    """Whether a leading line that starts with ``#`` is a comment and not a row.

    It is a comment if a space follows the ``#``, if it has no column ``word_idx``, or if it has another number of
    columns than the last line of the sentence, ``tabs`` + 1. If words are in the first column, a row that begins with
    a hashtag may have more or fewer columns than the last line.
    """
    if line.startswith("# "):
        return True
    columns = line.count("\t")
    if columns < word_idx:
        return True
    if columns == tabs:
        return False
    return word_idx > 0 or not columns or bool(_NOT_IN_HASHTAGS.search(line[: line.index("\t")]))


def is_document_mark(cells: Sequence[str], word_idx: int) -> bool:
    """Whether the cells are those of a ``-DOCSTART-`` line."""
    return bool(_DOCUMENT_LINE.match(cells[0])) or (word_idx < len(cells) and cells[word_idx] == _DOCUMENT_MARK)


def check_format(path: str, start: bytes) -> None:
    """Raises ``DataError`` if the first bytes of a file are not UTF-8 text with LF or CRLF line ends."""
    signature = next((signature for signature in _SIGNATURES if start.startswith(signature)), None)
    if signature is not None and (signature != b"BZh" or start[4:10] == _BZIP2_BLOCK):
        raise DataError(f"{path}: found {_SIGNATURES[signature]}")
    encoding = _other_encoding(start[:_HEAD_BYTES])
    if encoding is not None:
        raise DataError(
            f"{path}: found {encoding}, expected UTF-8; convert it, for example with "
            f"iconv -f {encoding} -t UTF-8 FILE > NEW_FILE"
        )
    lone_returns = start.rstrip(b"\r").count(b"\r") - start.count(b"\r\n")
    if lone_returns > start.count(b"\n"):
        raise DataError(
            f"{path}: found lines that end with CR alone, expected LF or CRLF; convert it, for example with "
            r"tr '\r' '\n' < FILE > NEW_FILE"
        )


def _other_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32, recognised by a byte order mark or by NUL bytes next to white space; None for other text."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return None
    white_space = sum(map(head.count, _WHITE_SPACE))
    for name, nuls in (("UTF-32", b"\0\0\0"), ("UTF-16", b"\0")):
        little = sum(head.count(character + nuls) for character in _WHITE_SPACE)
        big = sum(head.count(nuls + character) for character in _WHITE_SPACE)
        # UTF-8 text may have a few NUL bytes, and in UTF-16 other characters contain the bytes of white space too.
        if 3 * max(little, big) > white_space:
            return f"{name}{'LE' if little >= big else 'BE'}"
    return None
