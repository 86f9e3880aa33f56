"""Reads data files record by record, so that they can be written back byte for byte.

CoNLL-like files, TSV files and raw text are all read as ``Record``. The lines of all records together are the file,
including comments, multiword rows, empty nodes, blank lines and line ends.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import chain

from machamp_lite.data.lines import LineBlock, count_leading_lines, is_blank, read_lines
from machamp_lite.data.record import EMPTY, NODE_ID, FileFormat, Record, column_of
from machamp_lite.data.record_checks import ColumnChecker, EmptyWordChecker, check_separator, refuse_word_ids
from machamp_lite.errors import DataError, FaultList

__all__ = ["BYTE_ORDER_MARK", "EMPTY", "FileFormat", "Record", "in_chunks", "read_records"]

BYTE_ORDER_MARK = "\ufeff"
# A chunk of records ends after about this many words, so that data with very long sentences fits in memory.
MAX_CHUNK_WORDS = 2**17


def read_records(
    path: str | os.PathLike[str],
    file_format: FileFormat,
    *,
    required: dict[int, str] | None = None,
    allow_empty_words: bool = True,
    faults: FaultList | None = None,
) -> Iterator[Record]:
    """Reads a file record by record.

    ``required`` maps each column that rows must have to a description of what reads it, for messages. After the last
    line, raises ``DataError`` with all ``faults`` of the file, including those that the caller has added.
    """
    faults = FaultList() if faults is None else faults
    blocks = read_lines(path, faults)
    # The name in messages.
    path = str(path)
    start, first_block = _read_start(path, blocks, has_header=file_format.skip_first_line)
    yield from start
    columns = ColumnChecker(required or {}, faults)
    if required:
        columns.wrong_separator = check_separator(path, *first_block, file_format, required, faults)
    empty_words = EmptyWordChecker(path, file_format.word_idx, faults=None if allow_empty_words else faults)
    blocks = chain([first_block], blocks)
    if file_format.word_idx is not None:
        records = _conll_records(path, blocks, file_format.word_idx)
    else:
        records = _tsv_records(path, blocks, file_format.sent_idxs)
    if file_format.id_task is not None:
        records = refuse_word_ids(path, records, file_format.id_task)
    found_words = False
    for record in records:
        found_words = found_words or bool(record.rows)
        columns.check(record)
        if "" in record.words:
            empty_words.check(record)
        yield record
    empty_words.warn()
    if not found_words and not faults.count:
        faults.add(f"{path}: no sentences found, expected at least one")
    if faults.count:
        raise DataError(faults.lines(path))


def _read_start(
    path: str, blocks: Iterator[LineBlock], *, has_header: bool
) -> tuple[list[Record], LineBlock]:
    """The byte order mark and the header line of a file as records, and the rest of its first block."""
    number, lines = next(blocks, (1, [""]))
    first, *others = lines
    records = []
    if first.startswith(BYTE_ORDER_MARK):
        records.append(Record(path, number, [BYTE_ORDER_MARK]))
        first = first.removeprefix(BYTE_ORDER_MARK)
    if has_header:
        records.append(Record(path, number, [first]))
    elif first:
        return records, (number, [first, *others])
    return records, (number + 1, others)


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


def _conll_records(path: str, blocks: Iterable[LineBlock], word_idx: int) -> Iterator[Record]:
    for first_line, sentence, blank in _sentences(blocks):
        comments = count_leading_lines(sentence, word_idx)
        rows = [line.rstrip("\r\n").split("\t") for line in sentence[comments:]]
        row_lines = list(range(comments, len(sentence)))
        ids: dict[str, int] | None = None
        if word_idx > 0 and rows:
            firsts = [row[0] for row in rows]
            if not all(map(str.isdecimal, firsts)) and all(map(NODE_ID.fullmatch, firsts)):
                # Multiword rows (1-2) and empty nodes (8.1) are not words. They are kept in the lines only.
                kept = [number for number, first in enumerate(firsts) if first.isdecimal()]
                rows = [rows[number] for number in kept]
                row_lines = [row_lines[number] for number in kept]
                firsts = [firsts[number] for number in kept]
            if all(map(str.isdecimal, firsts)):
                ids = dict(zip(firsts, range(1, len(firsts) + 1), strict=True))
                if len(ids) < len(rows):
                    # Repeated numbers are not ids.
                    ids = None
        yield Record(path, first_line, sentence + blank, rows, row_lines, column_of(rows, word_idx), ids)


def _sentences(blocks: Iterable[LineBlock]) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yields sentences as (number of the first line, lines, blank lines that follow)."""
    first_line = 0
    sentence: list[str] = []
    blank: list[str] = []
    for number, lines in blocks:
        first_line = first_line or number
        blanks = [index for index, line in enumerate(lines) if line.isspace() and is_blank(line)]
        start = 0
        for end in [*blanks, len(lines)]:
            if start < end:
                if blank:
                    yield first_line, sentence, blank
                    first_line, sentence, blank = number + start, [], []
                sentence += lines[start:end]
            blank += lines[end : end + 1]
            start = end + 1
    if sentence or blank:
        yield first_line, sentence, blank


def _tsv_records(
    path: str, blocks: Iterable[LineBlock], sent_idxs: tuple[int, ...] | None
) -> Iterator[Record]:
    for first, lines in blocks:
        for number, line in enumerate(lines, start=first):
            if is_blank(line):
                yield Record(path, number, [line])
                continue
            text = line.rstrip("\r\n")
            row = [text] if sent_idxs is None else text.split("\t")
            texts = [row[index] if index < len(row) else "" for index in sent_idxs or (0,)]
            yield Record(path, number, [line], [row], [0], texts)
