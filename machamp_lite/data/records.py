"""Reads data files of every format record by record, so that they can be written back without losses.

Of files with lines, the lines of all records together are the file, including comments, multiword rows, empty nodes,
blank lines and line ends.
"""

import os
from collections.abc import Iterable, Iterator, Mapping

from machamp_lite.data.formats import module_of, record_writer
from machamp_lite.data.formats.delimited import BYTE_ORDER_MARK
from machamp_lite.data.record import EMPTY, Column, FileFormat, Record
from machamp_lite.data.record_checks import EmptyWordChecker
from machamp_lite.errors import DataError, FaultList

__all__ = [
    "BYTE_ORDER_MARK",
    "EMPTY",
    "Column",
    "FileFormat",
    "Record",
    "in_chunks",
    "read_records",
    "record_writer",
]

# A chunk of records ends after about this many words, so that data with very long sentences fits in memory.
MAX_CHUNK_WORDS = 2**17


def read_records(
    path: str | os.PathLike[str],
    file_format: FileFormat,
    *,
    required: Mapping[Column, str] | None = None,
    allow_empty_words: bool = True,
    faults: FaultList | None = None,
) -> Iterator[Record]:
    """Reads a file record by record; records without a required column are left out, and are faults.

    ``required`` maps each column that rows must have to a description of what reads it, for messages. After the last
    line, raises ``DataError`` with all ``faults`` of the file, including those that the caller has added.
    """
    faults = FaultList() if faults is None else faults
    records = module_of(path, file_format).read(path, file_format, required=required or {}, faults=faults)
    # The name in messages.
    path = str(path)
    empty_words = EmptyWordChecker(path, file_format.word_idx, faults=None if allow_empty_words else faults)
    found_words = False
    for record in records:
        found_words = found_words or bool(record.rows)
        if "" in record.words:
            empty_words.check(record)
        yield record
    empty_words.warn()
    if not found_words and not faults.count:
        faults.add(f"{path}: no sentences found, expected at least one")
    if faults.count:
        raise DataError(faults.lines(path))


def in_chunks(records: Iterable[Record], max_records: int) -> Iterator[list[Record]]:
    """Groups records into lists of at most ``max_records`` records and about ``MAX_CHUNK_WORDS`` words."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        # A text is one word; a long text counts as several.
        size += sum(1 + len(word) // 8 for word in record.words)
        if len(chunk) >= max_records or size >= MAX_CHUNK_WORDS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
