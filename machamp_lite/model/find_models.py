"""Finds the folders of a model before it is loaded: imports no torch, so that a misspelt path is reported at once."""

from dataclasses import dataclass
from pathlib import Path

from machamp_lite.errors import ConfigError
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import SUMMARY
from machamp_lite.model.hub import find_or_download
from machamp_lite.model.model_folder import find_model_folder


@dataclass(frozen=True, slots=True)
class FoundModel:
    """The folder that a path names, and its model folders: one, or those of a group of runs."""

    folder: Path
    models: tuple[Path, ...]
    is_group: bool = False


def find_models(path: str | Path, *, revision: str | None = None) -> FoundModel:
    """Finds a model folder or run folder, a group of runs, or ``user/name`` on the Hugging Face hub.

    ``revision`` is a branch, tag or commit on the hub. Raises ``ConfigError`` if there is no model.
    """
    folder = find_or_download(path, revision=revision)
    document = read_json_object(folder / SUMMARY)
    if not document:
        return FoundModel(folder, (find_model_folder(folder),))
    runs = document.get("runs")
    if not isinstance(runs, list) or not runs:
        raise ConfigError(f"{path}: found runs that are not finished; train them with --resume {path}")
    return FoundModel(folder, tuple(find_model_folder(folder / str(run)) for run in runs), is_group=True)
