"""Translates a whole config file into the current keys."""

from pathlib import Path
from typing import Any

from machamp_lite.config.error_messages import ErrorCollector
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import check_documents, log_warnings
from machamp_lite.config.machamp_compat import is_params, migrate_dataset, migrate_params
from machamp_lite.config.overrides import Documents
from machamp_lite.config.schema import Params
from machamp_lite.errors import ConfigError


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
    return result
