"""Reads the dev predictions that two runs have kept in their folders."""

import logging
from collections.abc import Iterator
from pathlib import Path

from machamp_lite.config.schema import Config
from machamp_lite.dataloading.datasets import path_checksum
from machamp_lite.errors import ConfigError
from machamp_lite.files.checksums import read_json_object
from machamp_lite.inference.predicted_sentences import PredictedFile, read_predictions
from machamp_lite.model.saved_config import read_config
from machamp_lite.training import run_folder

logger = logging.getLogger(__name__)

_HINT = "; give a file with --test"


def read_dev_predictions(first: Path, second: Path) -> dict[str, tuple[str, PredictedFile, PredictedFile]]:
    """The datasets that both runs have, by dev file: the name, and the predictions of both runs.

    Raises ``ConfigError`` with a line for each dataset whose predictions are missing, changed, or of different files.
    """
    runs = [(folder, _config_of(folder), run_folder.dev_checksums(folder)) for folder in (first, second)]
    (_, one, checksums), (_, other, other_checksums) = runs
    names = [name for name in one.datasets if name in other.datasets and name in checksums and name in other_checksums]
    if not names:
        raise ConfigError(f"{first}, {second}: found no dataset whose dev file both have predicted{_HINT}")
    faults = [fault for name in names for fault in _faults(first, second, name)]
    if faults:
        raise ConfigError(faults)
    found = {}
    for name in names:
        source = _dev_path(first, name)
        files = [
            read_predictions(config.datasets[name], source=source, predicted=folder / f"{name}.out")
            for folder, config, _ in runs
        ]
        logger.debug("%s: %d sentences of %s", name, len(files[0].sentences), source)
        found[source] = (name, files[0], files[1])
    return found


def _config_of(folder: Path) -> Config:
    """The config of the model of a finished run, with all options."""
    if not run_folder.recorded_checksums(folder):
        raise ConfigError(f"{folder}: found no finished run, expected a run folder{_HINT}")
    return read_config(folder / run_folder.MODEL / "config.json")


def _dev_path(folder: Path, name: str) -> str:
    return str(read_json_object(folder / run_folder.DATASET_CONFIGS).get(name, {}).get("dev_data_path"))


def _faults(first: Path, second: Path, name: str) -> Iterator[str]:
    """Why the predictions of a dataset cannot be compared."""
    one, other = (run_folder.dev_checksums(folder)[name] for folder in (first, second))
    if one != other:
        yield f"{first}, {second}: their dev files of {name} are different{_HINT}"
        return
    source = _dev_path(first, name)
    if path_checksum(source) != one:
        yield f"{source}: is missing or has changed since {first} predicted it{_HINT}"
    for folder in (first, second):
        output = f"{name}.out"
        if not run_folder.is_recorded(folder, output):
            yield f"{folder / output}: is missing or has changed since the run wrote it{_HINT}"
