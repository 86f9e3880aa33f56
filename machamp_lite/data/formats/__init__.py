"""Formats of data files: each turns a file into records and back. The suffix of a file says which format it has."""

import contextlib
import gzip
import io
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, TextIO

from machamp_lite.data.record import FileFormat, Record
from machamp_lite.files.atomic import open_output

# The module of each format.
FORMATS = {
    "tsv": "delimited",
    "csv": "delimited",
    "jsonl": "json_lines",
    "arrow": "arrow",
    "parquet": "arrow",
}
# Formats with named columns only, which may hold lists.
OBJECT_FORMATS = {"jsonl", "arrow", "parquet"}
# Formats that require pyarrow.
ARROW_FORMATS = {"arrow", "parquet"}
GZIP_SUFFIX = ".gz"
# Any other file is a TSV or CoNLL-like file.
SUFFIXES = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".arrow": "arrow",
    ".parquet": "parquet",
}

Write = Callable[[Record], Any]


def format_of(path: str | os.PathLike[str], name: str | None = None) -> str:
    """The name of the format of a file: ``name``, or else by the suffix of the file.

    >>> format_of("train.csv.gz"), format_of("train.conllu"), format_of("train.txt", "jsonl")
    ('csv', 'tsv', 'jsonl')
    """
    if name is not None:
        return name
    if is_dataset_folder(path):
        return "arrow"
    return SUFFIXES.get(os.path.splitext(str(path).lower().removesuffix(GZIP_SUFFIX))[1], "tsv")


def is_dataset_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder of Arrow or Parquet files, or of several datasets of Hugging Face's ``datasets``."""
    if not os.path.isdir(path):
        return False
    names = os.listdir(path)
    return "dataset_dict.json" in names or any(name.endswith((".arrow", ".parquet")) for name in names)


def module_of(path: str | os.PathLike[str], file_format: FileFormat) -> Any:
    """The module that reads and writes a file. Plain text has neither columns nor another format."""
    name = format_of(path, file_format.name)
    if not file_format.input_columns and file_format.name is None:
        name = "tsv"
    return import_module(f"{__name__}.{FORMATS[name]}")


@contextlib.contextmanager
def record_writer(
    target: str | os.PathLike[str], source: str | os.PathLike[str], file_format: FileFormat
) -> Iterator[Write]:
    """A function that writes the records of a source to a file of the same format, in order.

    The file replaces ``target`` when the block ends. It is compressed if its name ends with ``.gz``.
    """
    with (
        open_output(target) as file,
        _compressed(file, target) as output,
        module_of(source, file_format).writer(output, source, file_format) as write,
    ):
        yield write


@contextlib.contextmanager
def _compressed(file: TextIO, target: str | os.PathLike[str]) -> Iterator[TextIO]:
    if not os.fspath(target).endswith(GZIP_SUFFIX):
        yield file
        return
    # Without name and time, so that the same content gives the same file.
    with (
        gzip.GzipFile("", "wb", fileobj=file.buffer, mtime=0) as binary,
        io.TextIOWrapper(binary, encoding="utf-8", newline="") as text,
    ):
        yield text
