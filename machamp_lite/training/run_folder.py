"""The folder of a run: how it is made, and which epochs' models are in it."""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError
from machamp_lite.files.temporaries import remove_dead_temporaries
from machamp_lite.files.written import is_plain_file, is_whole_model, remove_model
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.run_notes import (
    DATASET_CONFIGS,
    LAYERS,
    OUTPUT_ENDINGS,
    PARAMS_CONFIG,
    RUN,
    make_notes,
    noted_in,
    remove_noted,
    write_document,
)

MODEL, EPOCHS, STATE = "model", "epochs", "state"
STATE_FILE, START = "state.safetensors", "start"
METRICS, LOG = "metrics.json", "log.txt"
# A temporary folder for the predictions of dev files.
PREDICTIONS = "predictions"
_FORMER = "former"


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


def outputs_of(datasets: Iterable[str]) -> list[str]:
    """The names of the predictions of dev files and of their scores."""
    return [f"{name}{ending}" for name in datasets for ending in OUTPUT_ENDINGS]


def is_epoch(path: Path) -> bool:
    """Whether a name in ``epochs/`` is one that runs give."""
    return path.name == _FORMER or (path.name.isascii() and path.name.isdecimal())


def is_metrics(path: Path) -> bool:
    """Whether a file holds the metrics of epochs; they hold times, so that no two runs have the same."""
    try:
        epochs = json.loads(path.read_text(encoding="utf-8")) if is_plain_file(path) else None
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(epochs, list)
        and bool(epochs)
        and all(
            isinstance(epoch, dict) and epoch.keys() >= {"epoch", "train", "total_loss"} for epoch in epochs
        )
    )


def remove_older_run(folder: Path) -> None:
    """Removes what an overwritten run has left, so that nothing of it is taken for the new one's."""
    remove_model(folder / MODEL)
    for path in (folder / EPOCHS).glob("*"):
        if is_epoch(path):
            remove_model(path)
    with contextlib.suppress(OSError):
        (folder / EPOCHS).rmdir()
    if is_metrics(folder / METRICS):
        (folder / METRICS).unlink()
    # The configs last: a folder that has them holds a run.
    noted = noted_in(folder) or {}
    for name in sorted(noted, key=lambda name: name in (PARAMS_CONFIG, DATASET_CONFIGS)):
        remove_noted(folder, name)
    make_notes(folder)


def remove_temporaries(folder: Path) -> None:
    """Removes what trainings that were killed have left beside their files."""
    names = (MODEL, METRICS, LAYERS, PARAMS_CONFIG, DATASET_CONFIGS, RUN, PREDICTIONS)
    remove_dead_temporaries(folder, names)
    for name in (EPOCHS, STATE):
        remove_dead_temporaries(folder / name)


def write_configs(folder: Path, config: Config) -> None:
    """Writes the two files from which a run is repeated."""
    for name, document in config_documents(config).items():
        write_document(folder, name, document)


def config_documents(config: Config) -> dict[str, Any]:
    """The contents of these files by their names."""
    datasets = {name: dataset.model_dump() for name, dataset in config.datasets.items()}
    return {PARAMS_CONFIG: config.params.model_dump(), DATASET_CONFIGS: datasets}


def epoch_folder(folder: Path, epoch: int) -> Path:
    """Where the model of an epoch is written, in a folder made if need be."""
    (folder / EPOCHS).mkdir(exist_ok=True)
    return folder / EPOCHS / str(epoch)


def rotate_checkpoints(folder: Path, best_epochs: Sequence[int]) -> None:
    """Puts the best epoch into ``model/``, keeps the next best ones in ``epochs/NUMBER/``, and removes the others.

    Each epoch's model comes in ``epochs/NUMBER/``. May be stopped at any point and called again.
    """
    if not best_epochs:
        return
    best, *others = best_epochs
    model, new = folder / MODEL, folder / EPOCHS / str(best)
    if new.exists():
        if model.exists():
            # The best epoch so far becomes the second best.
            aside = folder / EPOCHS / (str(others[0]) if others else _FORMER)
            remove_model(aside)
            os.rename(model, aside)
        os.rename(new, model)
    kept = {str(epoch) for epoch in others}
    for path in (folder / EPOCHS).glob("*"):
        if path.name not in kept and is_epoch(path):
            remove_model(path)
    with contextlib.suppress(OSError):
        # It stays if a kept epoch is in it.
        (folder / EPOCHS).rmdir()


def check_best_epoch(folder: Path, best_epochs: Sequence[int]) -> None:
    """Raises ``ConfigError`` if the model of the best epoch so far is gone: the run could not end with it."""
    if not best_epochs:
        return
    places = [folder / EPOCHS / str(best_epochs[0]), folder / MODEL]
    if not any(map(is_whole_model, places)):
        raise ConfigError(
            f"{folder / MODEL}: is gone or not whole, but holds epoch {best_epochs[0]}, the best one of this run; put "
            "it back to resume, or start the run anew with --overwrite"
        )


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
    write_document(folder, LAYERS, document)
