"""Arrow and Parquet files, and folders of them as Hugging Face's ``datasets`` writes them.

Labels that its ``ClassLabel`` features store as integers are read and written by their names.
"""

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from machamp_lite.data.formats.objects import (
    SEPARATOR,
    Cells,
    Number,
    is_list,
    make_record,
    predicted_cells,
    to_text,
    to_value,
)
from machamp_lite.data.record import EMPTY, Column, FileFormat, Record
from machamp_lite.errors import ConfigError, DataError, FaultList
from machamp_lite.files.checksums import read_json_object

# The rows that are in memory at once.
BATCH_ROWS, BATCH_ROWS_WRITTEN = 1000, 10_000
SUFFIXES = (".arrow", ".parquet")
# The key of the features of Hugging Face in the metadata of a file.
_METADATA = b"huggingface"
_PARQUET, _ARROW_FILE = b"PAR1", b"ARROW1"
_SHARD = re.compile(r"(.*?)-\d+-of-\d+")

# The names of classes by column.
ClassNames = Mapping[str, Sequence[str]]


def import_pyarrow(where: str | os.PathLike[str]) -> Any:
    """The module; raises ``ConfigError`` if it is not installed."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            f"{where}: Arrow and Parquet require pyarrow; run pip install 'machamp_lite[arrow]'"
        ) from None
    return pyarrow


def data_files(path: str | os.PathLike[str]) -> list[str]:
    """The file itself, or the Arrow and Parquet files of a folder; raises ``DataError`` if it is no dataset."""
    if not os.path.isdir(path):
        return [os.fspath(path)]
    folder = Path(path)
    if (folder / "dataset_dict.json").is_file():
        splits = read_json_object(folder / "dataset_dict.json").get("splits")
        shown = ", ".join(f"{path}/{split}" for split in splits or ()) or "one of its folders"
        raise DataError(f"{path}: is a folder of several datasets, expected one of them: {shown}")
    listed = read_json_object(folder / "state.json").get("_data_files")
    if isinstance(listed, list):
        names = [str(file.get("filename")) if isinstance(file, dict) else "" for file in listed]
        if any(os.path.basename(name) != name or not (folder / name).is_file() for name in names):
            raise DataError(f"{path}/state.json: names files that are not in the folder, expected those of the dataset")
        return [str(folder / name) for name in names]
    files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and file.is_file())
    splits = {found[1] for file in files if (found := _SHARD.match(file.stem))} or {file.stem for file in files}
    if not files:
        raise DataError(f"{path}: found a folder without .arrow or .parquet files, expected a dataset")
    if len(splits) > 1:
        raise DataError(f"{path}: found the files of several datasets ({', '.join(sorted(splits))}), expected a file")
    return list(map(str, files))


def read(
    path: str | os.PathLike[str],
    file_format: FileFormat,
    *,
    required: Mapping[Column, str],
    faults: FaultList,
) -> Iterator[Record]:
    """Reads the rows of a file or folder, which count from 1."""
    wanted = {
        *map(str, (*file_format.input_columns, *file_format.label_columns, *file_format.other_columns)),
        *file_format.sentence_values,
    }
    number = 0
    for batch, classes in _batches(path, wanted):
        for values in _rows(batch, classes):
            number += 1
            record = make_record(str(path), number, "", values, file_format, required=required, faults=faults)
            if record is not None:
                yield record


def _batches(
    path: str | os.PathLike[str], columns: set[str] | None = None, *, rows: int = BATCH_ROWS
) -> Iterator[tuple[Any, dict[str, list[str]]]]:
    """The batches of all rows with some or all columns, and the names of their classes."""
    pyarrow = import_pyarrow(path)
    for file in data_files(path):
        # The name of a temporary copy is not shown.
        name = file if os.path.isdir(path) else str(path)
        try:
            with _opened(pyarrow, file) as (schema, batches):
                if several := [field for field, count in Counter(schema.names).items() if count > 1]:
                    raise DataError(f"{name}: found several columns '{several[0]}', expected one")
                classes = _class_names(schema, Path(file).parent)
                chosen = [field for field in schema.names if columns is None or field in columns]
                for batch in batches(chosen, rows):
                    # Damaged offsets would be read as they are; text must be UTF-8.
                    batch.validate(full=True)
                    yield batch, classes
        except (pyarrow.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{name}: cannot be read as Arrow or Parquet ({reason})") from None


@contextlib.contextmanager
def _opened(pyarrow: Any, file: str) -> Iterator[tuple[Any, Callable[[list[str], int], Iterator[Any]]]]:
    """The schema of a file, and a function that reads batches of some columns and of at most some rows."""
    kind = _kind(file)
    with pyarrow.OSFile(file, "rb") as source:
        if kind == "parquet":
            parquet = pyarrow.parquet.ParquetFile(source)
            yield parquet.schema_arrow, lambda columns, rows: parquet.iter_batches(rows, columns=columns)
            return
        if kind == "file":
            reader = pyarrow.ipc.open_file(source)
            found = (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            reader = pyarrow.ipc.open_stream(source)
            found = iter(reader)
        yield reader.schema, lambda columns, rows: _in_small_batches(found, columns, rows)


def _in_small_batches(batches: Iterator[Any], columns: list[str], rows: int) -> Iterator[Any]:
    for batch in batches:
        for start in range(0, len(batch), rows):
            yield batch.select(columns).slice(start, rows)


def _kind(file: str) -> str:
    with open(file, "rb") as opened:
        start = opened.read(len(_ARROW_FILE))
    if start.startswith(_PARQUET):
        return "parquet"
    return "file" if start == _ARROW_FILE else "stream"


def _class_names(schema: Any, folder: Path) -> dict[str, list[str]]:
    """The names of the classes of columns with integers, from the metadata of the file or its folder."""
    pyarrow = import_pyarrow(folder)
    try:
        metadata = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
    except (ValueError, RecursionError):
        metadata = {}
    info = metadata.get("info") if isinstance(metadata, dict) else None
    features = (info if isinstance(info, dict) else _folder_info(folder)).get("features")
    classes = {}
    for field in schema:
        feature, kind = features.get(field.name) if isinstance(features, dict) else None, field.type
        while (item := _item_type(pyarrow, kind)) is not None:
            feature = _item_feature(feature)
            kind = item
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        if isinstance(names, list) and pyarrow.types.is_integer(kind):
            classes[field.name] = list(map(str, names))
    return classes


def _item_type(pyarrow: Any, kind: Any) -> Any:
    """The type of the items of a list; None for other types."""
    types = pyarrow.types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return kind.value_type if is_list else None


def _folder_info(folder: Path) -> dict[str, Any]:
    return read_json_object(folder / "dataset_info.json")


def _item_feature(feature: Any) -> Any:
    """The feature of the items of a list, which versions of ``datasets`` write in two ways."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, dict) else None


def _rows(batch: Any, classes: ClassNames) -> Iterator[dict[str, Any]]:
    """The values of each row, with the names of classes."""
    names = batch.schema.names
    columns = [[_named(value, classes.get(name)) for value in batch.column(name).to_pylist()] for name in names]
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _named(value: Any, names: Sequence[str] | None) -> Any:
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if names is not None and isinstance(value, int):
        # -1 is a label that is not known.
        return names[value] if 0 <= value < len(names) else None
    return Number(repr(value))


@contextlib.contextmanager
def writer(
    file: TextIO, source: str | os.PathLike[str], file_format: FileFormat
) -> Iterator[Callable[[Record], object]]:
    """A function that keeps the new cells of records; when the block ends, all rows are written with them.

    Only then are all labels known, and thereby the types of columns.
    """
    predicted: list[Cells] = []
    yield lambda record: predicted.append(predicted_cells(record, file_format))
    pyarrow = import_pyarrow(source)
    path = data_files(source)[0]
    with _opened(pyarrow, path) as (schema, _):
        classes = _class_names(schema, Path(path).parent)
        schema = _new_schema(pyarrow, schema, classes, predicted, file_format)
        if classes and _METADATA not in (schema.metadata or {}):
            # The output is one file, which has the names of classes itself.
            info = json.dumps({"info": {"features": _folder_info(Path(path).parent)["features"]}})
            schema = schema.with_metadata({**(schema.metadata or {}), _METADATA: info})
    done = 0
    # Files of one folder may encode text differently, which only a stream can hold.
    kind = "stream" if os.path.isdir(source) and _kind(path) == "file" else _kind(path)
    with _sink(pyarrow, file, schema, kind) as sink:
        for batch, classes in _batches(source, rows=BATCH_ROWS_WRITTEN):
            cells = predicted[done : done + len(batch)]
            done += len(cells)
            if cells:
                sink.write_batch(_new_batch(pyarrow, batch.slice(0, len(cells)), schema, classes, cells))


def _sink(pyarrow: Any, file: TextIO, schema: Any, kind: str) -> Any:
    if kind == "parquet":
        return pyarrow.parquet.ParquetWriter(file.buffer, schema)
    return (pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream)(file.buffer, schema)


def _new_schema(
    pyarrow: Any, schema: Any, classes: ClassNames, predicted: Sequence[Cells], file_format: FileFormat
) -> Any:
    """The schema with the columns of predictions; a column keeps its type if all new labels have it."""
    for name in sorted({name for cells in predicted for name in cells}):
        found = [cells[name] for cells in predicted if name in cells]
        labels = {label for cells in found for label in ([cells] if isinstance(cells, str) else cells)}
        index = schema.get_field_index(name)
        kind = schema.field(index).type if index >= 0 else None
        per_word = is_list(name, file_format)
        # A column without any list may have another type.
        item = _item_type(pyarrow, kind) if per_word and kind is not None else kind
        if item is not None and _fits(pyarrow, labels, item, classes.get(name)):
            continue
        item = _type_of(pyarrow, labels)
        field = pyarrow.field(name, pyarrow.list_(item) if per_word else item)
        schema = schema.append(field) if kind is None else schema.set(index, field)
    return schema


def _fits(pyarrow: Any, labels: Iterable[str], kind: Any, names: Sequence[str] | None) -> bool:
    """Whether all labels have values of this type."""
    try:
        for label in labels:
            pyarrow.scalar(_value(pyarrow, label, kind, names), kind)
    except (ValueError, TypeError, pyarrow.ArrowException):
        return False
    return True


def _type_of(pyarrow: Any, labels: Iterable[str]) -> Any:
    """The type of a new column: numbers if all labels are numbers."""
    values = [to_value(label) for label in labels if label != EMPTY]
    if not values or not all(isinstance(value, Number) for value in values):
        return pyarrow.string()
    return pyarrow.int64() if all(value.lstrip("-").isdecimal() for value in values) else pyarrow.float64()


def _value(pyarrow: Any, text: str, kind: Any, names: Sequence[str] | None = None) -> Any:
    """The value of a cell in a column of this type; raises ``ValueError`` if it has none."""
    types = pyarrow.types
    if (item := _item_type(pyarrow, kind)) is not None:
        parts = [] if text == EMPTY else text.split(SEPARATOR)
        return [_value(pyarrow, part, item, names) for part in parts]
    if types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind):
        return text
    if text == EMPTY:
        return None
    if names is not None:
        return names.index(text)
    if types.is_boolean(kind) and text in ("true", "false"):
        return text == "true"
    if types.is_integer(kind):
        return int(text)
    if types.is_floating(kind):
        return float(text)
    raise ValueError(text)


def _new_batch(pyarrow: Any, batch: Any, schema: Any, classes: ClassNames, predicted: Sequence[Cells]) -> Any:
    """A batch with the new cells of its rows; unchanged values stay as they are."""
    arrays = []
    for field in schema:
        name, names = field.name, classes.get(field.name)
        index = batch.schema.get_field_index(name)
        if not any(name in cells for cells in predicted) and index >= 0:
            arrays.append(batch.column(index).cast(field.type))
            continue
        keeps_type = index >= 0 and batch.schema.field(index).type == field.type
        values = batch.column(index).to_pylist() if keeps_type else [None] * len(batch)
        arrays.append(
            pyarrow.array(
                [
                    _new_value(pyarrow, value, cells.get(name), field.type, names if keeps_type else None)
                    for value, cells in zip(values, predicted, strict=True)
                ],
                field.type,
            )
        )
    return pyarrow.record_batch(arrays, schema=schema)


def _new_value(
    pyarrow: Any, old: Any, cells: str | list[str] | None, kind: Any, names: Sequence[str] | None
) -> Any:
    if cells is None:
        return old
    if isinstance(cells, str):
        return old if to_text(_named(old, names)) == cells else _value(pyarrow, cells, kind, names)
    items = old if isinstance(old, list) and len(old) == len(cells) else [None] * len(cells)
    return [
        _new_value(pyarrow, item, cell, kind.value_type, names) for item, cell in zip(items, cells, strict=True)
    ]
