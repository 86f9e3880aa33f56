"""The folder of a run: how it is made, and which epochs' models are in it."""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError
from machamp_lite.files import write_json
from machamp_lite.model import Model

MODEL, EPOCHS, STATE = "model", "epochs", "state"
METRICS, LAYERS = "metrics.json", "layers.json"
PARAMS_CONFIG, DATASET_CONFIGS = "params-config.json", "dataset-configs.json"


def default_run_folder(dataset_configs: Sequence[str | Path], name: str | None = None) -> Path:
    """Makes ``logs/NAME/DATE_TIME``; NAME is by default the configs' file names joined by dots.

    Raises ``ConfigError`` if it cannot be made.
    """
    name = name or ".".join(Path(path).stem for path in dataset_configs)
    if Path(name).is_absolute() or ".." in Path(name).parts or not name.isprintable():
        raise ConfigError(f"--name: found {name!r}, expected a name of a folder inside logs/")
    first = folder = Path("logs") / name / time.strftime("%Y.%m.%d_%H.%M.%S")
    number = 1
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        while not _make_new_folder(folder):
            number += 1
            folder = first.with_name(f"{first.name}_{number}")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror})") from None
    return folder


def _make_new_folder(folder: Path) -> bool:
    """Makes a folder; False if it is already there, as when another run began in the same second."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def make_run_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Makes a run's folder; raises ``ConfigError`` if a run is already there, unless it may be overwritten."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, expected a folder")
    if not overwrite and (folder / PARAMS_CONFIG).exists():
        raise ConfigError(f"{folder}: a run is already here; give another --model_dir, or --overwrite")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder}: cannot be written to")
    return folder


def remove_older_run(folder: Path, config: Config) -> None:
    """Takes away what an overwritten run has left, so that nothing of it is taken for the new one's."""
    for name in (MODEL, EPOCHS):
        shutil.rmtree(folder / name, ignore_errors=True)
    outputs = [f"{name}.out{end}" for name in config.datasets for end in ("", ".eval")]
    for name in [METRICS, LAYERS, *outputs]:
        (folder / name).unlink(missing_ok=True)


def write_configs(folder: Path, config: Config) -> None:
    """Writes the two files from which a run is repeated."""
    for name, document in config_documents(config).items():
        write_json(folder / name, document)


def config_documents(config: Config) -> dict[str, Any]:
    """The contents of these files by their names."""
    datasets = {name: dataset.model_dump() for name, dataset in config.datasets.items()}
    return {PARAMS_CONFIG: config.params.model_dump(), DATASET_CONFIGS: datasets}


def epoch_folder(folder: Path, epoch: int) -> Path:
    """Where the model of an epoch is written, in a folder made if need be."""
    (folder / EPOCHS).mkdir(exist_ok=True)
    return folder / EPOCHS / str(epoch)


def settle_epochs(folder: Path, best_epochs: Sequence[int]) -> None:
    """Puts the best epoch into ``model/``, keeps the next best ones in ``epochs/NUMBER/``, and removes the others.

    Each epoch's model comes in ``epochs/NUMBER/``. May be stopped at any point and called again.
    """
    if not best_epochs:
        return
    best, *others = best_epochs
    model, new = folder / MODEL, folder / EPOCHS / str(best)
    if new.exists():
        if model.exists():
            # What was the best until now is the second best.
            aside = folder / EPOCHS / (str(others[0]) if others else "former")
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(model, aside)
        os.rename(new, model)
    kept = {str(epoch) for epoch in others}
    for path in (folder / EPOCHS).glob("*"):
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
    if not kept:
        shutil.rmtree(folder / EPOCHS, ignore_errors=True)


def write_layer_weights(folder: Path, model: Model) -> None:
    """Writes what each task has learnt to read of the encoder's layers; a single one has the weight 1."""
    document: dict[str, Any] = {}
    for number, task in enumerate(model.tasks):
        mix: Any = model.mixes[number]
        several = len(model.layers[number]) > 1
        document[task] = {
            "layers": list(model.layers[number]),
            "weights": mix.weights.detach().softmax(0).tolist() if several else [1.0],
            "scale": mix.scale.item() if several else 1.0,
        }
    write_json(folder / LAYERS, document)
