"""Checks that the columns of a dataset and the options of its files fit the formats of the files."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from machamp_lite.config.error_messages import Location, show
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.formats import ARROW_FORMATS, OBJECT_FORMATS, format_of

_DELIMITER_OPTIONS = ("separator", "quoting", "skip_first_line")


def check_file_format(where: Location, dataset: DatasetConfig, given: Mapping[str, Any]) -> None:
    """Adds an error for each option and column that the format of the files does not have.

    ``given`` are the options that the dataset itself sets. Without files, as in a model, only ``format`` is checked.
    """
    columns = [*dataset.all_columns()]
    numbers = [column for column in columns if isinstance(column, int)]
    values = dataset.sentence_values()
    names = [column for column in columns if isinstance(column, str) and column not in values]
    if numbers and names:
        where.add(f"found columns by number ({numbers[0]}) and by name ('{names[0]}'), expected one of them for all")
        return
    paths = {key: getattr(dataset, key) for key in ("train_data_path", "dev_data_path")}
    files = {key: path for key, path in paths.items() if path is not None}
    formats = {key: format_of(path, dataset.format) for key, path in files.items()}
    if dataset.format is not None:
        formats["format"] = dataset.format
    for key, name in formats.items():
        if name in ARROW_FORMATS and find_spec("pyarrow") is None:
            where.at(key).add("Arrow and Parquet require pyarrow; run pip install 'machamp_lite[arrow]'")
        if name not in OBJECT_FORMATS:
            continue
        if numbers:
            where.at(key).add(f"{_TITLES[name]} has names of columns only, found the number {numbers[0]}")
        elif not columns:
            where.at(key).add(f"{_TITLES[name]} has no lines of text, expected sent_idxs with the name of the texts")
        for option in _DELIMITER_OPTIONS:
            if given.get(option) not in (None, False):
                where.at(option).add(f"found {show(given[option])}, but {_TITLES[name]} has no such option")
    if given.get("quoting") and (dataset.separator == " " or not columns):
        where.at("quoting").add("found true, expected columns that are not separated by spaces")
    if given.get("separator") is not None and not columns:
        where.at("separator").add("plain text has no columns, expected no such key")


_TITLES = {"jsonl": "a JSON lines file", "arrow": "an Arrow file", "parquet": "a Parquet file"}
