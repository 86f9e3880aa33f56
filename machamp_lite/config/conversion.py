"""Translates a whole config file into the current keys."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from machamp_lite.config.error_messages import ErrorCollector
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import check_documents, log_warnings
from machamp_lite.config.machamp_compat import is_params, migrate_dataset, migrate_params
from machamp_lite.config.overrides import Documents
from machamp_lite.config.schema import Params
from machamp_lite.errors import ConfigError

# The order in which people write them; tasks are last.
DATASET_KEYS = ("train_data_path", "dev_data_path", "word_idx", "sent_idxs")
TASK_KEYS = ("task_type", "column_idx", "column_idxs")


def converted(path: str | Path) -> dict[str, Any]:
    """The dataset config or the params in a file, with the current keys.

    Data files need not exist. Raises ``ConfigError`` with one line for each error, and logs a warning for each key
    without effect.
    """
    raw, source, errors = read_jsonnet(path), str(path), ErrorCollector()
    if is_params(raw, Params.model_fields):
        result = migrate_params(raw, errors.at(source))
        documents = Documents(result, source, {}, {})
    elif raw and all(isinstance(dataset, dict) for dataset in raw.values()):
        result = {name: migrate_dataset(dataset, errors.at(source, name)) for name, dataset in raw.items()}
        documents = Documents({}, source, result, dict.fromkeys(result, source))
    else:
        raise ConfigError(f"{source}: found neither datasets nor params, expected one of them")
    check_documents(documents, errors, is_trained=False)
    log_warnings(errors.warnings.values())
    if documents.datasets:
        return {name: _sort_dataset(dataset) for name, dataset in result.items()}
    return _sort_keys(result, Params.model_fields)


def _sort_dataset(dataset: Mapping[str, Any]) -> dict[str, Any]:
    tasks = {task: _sort_keys(options, TASK_KEYS) for task, options in dataset["tasks"].items()}
    others = {key: value for key, value in dataset.items() if key != "tasks"}
    return _sort_keys(others, DATASET_KEYS) | {"tasks": tasks}


def _sort_keys(values: Mapping[str, Any], first: Iterable[str]) -> dict[str, Any]:
    """The same values with some keys first, because jsonnet sorts keys by name."""
    return {key: values[key] for key in first if key in values} | dict(values)
