"""Loads what predicts: a model, or the models of a group of runs as an ensemble."""

from pathlib import Path

from machamp_lite.acceleration import load_accelerated
from machamp_lite.errors import ConfigError
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import SUMMARY
from machamp_lite.model.ensemble import Ensemble
from machamp_lite.model.hub import find_or_download
from machamp_lite.model.multitask_model import Model


def load_predictor(path: str | Path, *, device: str = "cpu", revision: str | None = None) -> Model:
    """Loads a model folder or run folder, a group of runs, or ``user/name`` from the Hugging Face hub.

    ``revision`` is a branch, tag or commit on the hub. Raises ``ConfigError`` naming a bad file.
    """
    path = find_or_download(path, revision=revision)
    document = read_json_object(Path(path) / SUMMARY)
    if not document:
        return load_accelerated(path, device=device)
    runs = document.get("runs")
    if not isinstance(runs, list) or not runs:
        raise ConfigError(f"{path}: found runs that are not finished; train them with --resume {path}")
    return Ensemble([load_accelerated(Path(path) / str(run), device=device) for run in runs], folder=Path(path))
