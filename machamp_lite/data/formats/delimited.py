"""CoNLL-like files, TSV, CSV and plain text: rows of cells with a separator, in lines."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TextIO

from machamp_lite.data.delimiter import TABS, Delimiter
from machamp_lite.data.formats import format_of
from machamp_lite.data.lines import LineBlock, count_leading_lines, is_blank, is_document_mark, read_lines
from machamp_lite.data.record import NODE_ID, Column, FileFormat, Record, column_of
from machamp_lite.data.record_checks import ColumnChecker, check_separator, refuse_word_ids
from machamp_lite.errors import DataError, FaultList, did_you_mean

BYTE_ORDER_MARK = "\ufeff"
# A cell in quotes is longer only if its quotes do not end.
MAX_CELL_LINES, MAX_CELL_CHARACTERS = 1000, 2**20
# Where spaces separate columns, a leading line such as "# NN O" may be a row.
_NAMED_COMMENT = re.compile(r"#\s*[^\s=:]+(\s=|:)\s")


def delimiter_of(path: str | os.PathLike[str], file_format: FileFormat) -> Delimiter:
    """What separates the columns of a file."""
    is_csv = format_of(path, file_format.name) == "csv"
    delimiter = Delimiter(
        file_format.separator or ("," if is_csv else "\t"),
        is_csv if file_format.quoting is None else file_format.quoting,
    )
    return TABS if delimiter == TABS else delimiter


@contextlib.contextmanager
def writer(
    file: TextIO, source: str | os.PathLike[str], file_format: FileFormat
) -> Iterator[Callable[[Record], object]]:
    """A function that writes records."""
    delimiter = TABS if not file_format.input_columns else delimiter_of(source, file_format)
    yield lambda record: file.write(record.text(delimiter))


def read(
    path: str | os.PathLike[str],
    file_format: FileFormat,
    *,
    required: Mapping[Column, str],
    faults: FaultList,
) -> Iterator[Record]:
    """Reads a file; adds a fault for each row without a required column, whose reader ``required`` names."""
    blocks = read_lines(path, faults)
    delimiter = delimiter_of(path, file_format)
    # The name in messages.
    path = str(path)
    start, blocks = _without_byte_order_mark(path, blocks)
    yield from start
    if delimiter.quoting and file_format.input_columns:
        blocks = _join_quoted_lines(path, blocks, delimiter)
    names: dict[str, int] = {}
    width = None
    if file_format.skip_first_line or file_format.has_names:
        number, (header, *others) = next(blocks, (1, [""]))
        if file_format.has_names and is_blank(header):
            raise DataError(f"{path}:{number}: found an empty line, expected a header with the names of the columns")
        if file_format.has_names:
            width = len(delimiter.split(header))
            names, header = _read_header(
                f"{path}:{number}", header, delimiter, file_format, required=required, faults=faults
            )
        yield Record(path, number, [header])
        blocks = chain([(number + 1, others)], blocks)
    # A missing name was reported at the header.
    readers = {
        names.get(column, -1) if isinstance(column, str) else column: f"{reader} reads column "
        + (f"'{column}'" if isinstance(column, str) else f"{column}, counted from 0")
        for column, reader in required.items()
    }
    readers.pop(-1, None)
    columns = ColumnChecker(readers, faults, width)
    if readers:
        first = next(blocks, (1, []))
        columns.wrong_separator = check_separator(path, *first, file_format, delimiter, max(readers) + 1, faults)
        blocks = chain([first], blocks)
    indices = [names.get(column, 0) if isinstance(column, str) else column for column in file_format.input_columns]
    if file_format.word_idx is not None:
        records = _sentences_of(path, blocks, indices[0], delimiter, names)
    else:
        records = _texts_of(path, blocks, indices if file_format.input_columns else None, delimiter, names)
    if file_format.id_task is not None:
        records = refuse_word_ids(path, records, file_format.id_task)
    for record in records:
        if columns.check(record):
            yield record


def _without_byte_order_mark(
    path: str, blocks: Iterator[LineBlock]
) -> tuple[list[Record], Iterator[LineBlock]]:
    """The byte order mark as a record, and the lines without it."""
    number, lines = next(blocks, (1, [""]))
    if not lines[0].startswith(BYTE_ORDER_MARK):
        return [], chain([(number, lines)] if lines[0] else [], blocks)
    lines = [lines[0].removeprefix(BYTE_ORDER_MARK), *lines[1:]]
    # Without the mark, the first line may be empty.
    block = (number, lines) if lines[0] else (number + 1, lines[1:])
    return [Record(path, number, [BYTE_ORDER_MARK])], chain([block] if block[1] else [], blocks)


def _join_quoted_lines(path: str, blocks: Iterable[LineBlock], delimiter: Delimiter) -> Iterator[LineBlock]:
    """Joins the lines of each row with line ends in quotes; empty lines take the place of the lines that follow."""
    # The lines of a row that has not ended, and the number of its first line.
    row: list[str] = []
    first = 0
    for number, lines in blocks:
        start, joined = first if row else number, list[str]()
        for index, line in enumerate(lines, start=number):
            if not row and not ('"' in line and delimiter.is_open(line)):
                joined.append(line)
                continue
            first = first if row else index
            row.append(line)
            # Only a quote ends the cell.
            if len(row) > 1 and '"' in line and not delimiter.is_open(text := "".join(row)):
                joined += [text, *[""] * (len(row) - 1)]
                row = []
            elif len(row) > MAX_CELL_LINES or sum(map(len, row)) > MAX_CELL_CHARACTERS:
                raise _open_quote(path, first)
        if joined:
            yield start, joined
    if row:
        raise _open_quote(path, first)


def _open_quote(path: str, line: int) -> DataError:
    return DataError(
        f"{path}:{line}: found a cell that begins with a quote and has no second one, expected one; if quotes are "
        'ordinary characters in this file, set "quoting": false'
    )


def _read_header(
    where: str,
    line: str,
    delimiter: Delimiter,
    file_format: FileFormat,
    *,
    required: Mapping[Column, str],
    faults: FaultList,
) -> tuple[dict[str, int], str]:
    """The positions of columns by name, and the header with the label columns that prediction adds."""
    cells = delimiter.split(line)
    names = {cell: index for index, cell in reversed(list(enumerate(cells)))}
    for column, reader in required.items():
        if column in file_format.sentence_values:
            continue
        if column not in names:
            found = f"found no column '{column}' in the header, which {reader} reads"
            faults.add(f"{where}: {found}{did_you_mean(str(column), names)}{_hint(cells, delimiter)}")
        elif cells.count(str(column)) > 1:
            faults.add(f"{where}: found several columns '{column}', which {reader} reads; expected one")
    added = [
        str(column)
        for column in file_format.label_columns
        if column not in names and column not in file_format.sentence_values
    ]
    names.update({name: len(cells) + index for index, name in enumerate(added)})
    return names, delimiter.replace(line, [*cells, *added])


def _hint(cells: Sequence[str], delimiter: Delimiter) -> str:
    """The end of a message about a header that is probably separated by another character."""
    separators = [sign for sign in ",;\t" if sign in cells[0] and sign != delimiter.separator]
    if len(cells) > 1 or not separators:
        return ""
    return f'; if its columns are separated by {separators[0]!r}, set "separator"'


def _texts_of(
    path: str,
    blocks: Iterable[LineBlock],
    indices: Sequence[int] | None,
    delimiter: Delimiter,
    names: Mapping[str, int],
) -> Iterator[Record]:
    """One record per row. Without ``indices`` of texts, each line is a text."""
    chosen = indices or (0,)
    for first, lines in blocks:
        rows = [[line.rstrip("\r\n")] for line in lines] if indices is None else delimiter.split_lines(lines)
        for number, (line, row) in enumerate(zip(lines, rows, strict=True), start=first):
            if is_blank(line):
                yield Record(path, number, [line])
                continue
            texts = [row[index] if index < len(row) else "" for index in chosen]
            yield Record(path, number, [line], [row], [0], texts, None, names)


def _sentences_of(
    path: str,
    blocks: Iterable[LineBlock],
    word_idx: int,
    delimiter: Delimiter,
    names: Mapping[str, int],
) -> Iterator[Record]:
    for first_line, sentence, blank in _split_at_blank_lines(blocks):
        leading = _count_leading_lines(sentence, word_idx, delimiter)
        rows = delimiter.split_lines(sentence[leading:])
        row_lines = list(range(leading, len(sentence)))
        if delimiter.quoting and "" in sentence:
            # The place of a line of a row that has several lines.
            kept = [number for number, line in enumerate(sentence[leading:]) if line]
            rows, row_lines = [rows[number] for number in kept], [row_lines[number] for number in kept]
        ids: dict[str, int] | None = None
        if word_idx > 0 and rows:
            firsts = [row[0] for row in rows]
            have_ids = all(map(str.isdecimal, firsts))
            if not have_ids and all(map(NODE_ID.fullmatch, firsts)):
                # Multiword rows (1-2) and empty nodes (8.1) are not words. They are kept in the lines only.
                kept = [number for number, first in enumerate(firsts) if first.isdecimal()]
                rows = [rows[number] for number in kept]
                row_lines = [row_lines[number] for number in kept]
                firsts = [firsts[number] for number in kept]
                have_ids = True
            if have_ids:
                ids = dict(zip(firsts, range(1, len(firsts) + 1), strict=True))
                if len(ids) < len(rows):
                    # Repeated numbers are not ids.
                    ids = None
        words = column_of(rows, word_idx)
        yield Record(path, first_line, sentence + blank, rows, row_lines, words, ids, names)


def _count_leading_lines(lines: Sequence[str], word_idx: int, delimiter: Delimiter) -> int:
    """Counts the comments and the document marks at the start of a sentence."""
    if delimiter is TABS:
        return count_leading_lines(lines, word_idx)
    last = len(delimiter.split(lines[-1])) if lines else 0
    for number, line in enumerate(lines):
        cells = delimiter.split(line)
        is_comment = line.startswith("#") and (len(cells) != last or _NAMED_COMMENT.match(line))
        if not (is_comment or is_document_mark(cells, word_idx)):
            return number
    return len(lines)


def _split_at_blank_lines(blocks: Iterable[LineBlock]) -> Iterator[tuple[int, list[str], list[str]]]:
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
