"""The folder of a run: its files, the checksums of those that this program wrote, and the models of the best epochs.

run.json marks a run folder. It contains the checksums of the files that cannot contain such a mark. A checksum is
recorded before its file gets its final name, so that a killed run leaves no file without one.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import replacing_file, write_json
from machamp_lite.files.checksums import (
    checksum_of_text,
    has_checksum,
    is_regular_file,
    read_any_json,
    read_json_object,
    read_metadata,
)
from machamp_lite.files.run_files import (
    DATASET_CONFIGS,
    ENVIRONMENT,
    EPOCHS,
    HISTORY,
    LAYERS,
    METRICS,
    MODEL,
    OUTPUT,
    PARAMS_CONFIG,
    REPORT,
    RUN,
    SCORES,
    STATE,
)
from machamp_lite.files.temporaries import remove_dead_temporaries
from machamp_lite.model.model_folder import is_complete_model, remove_model
from machamp_lite.model.multitask_model import Model
from machamp_lite.reporting.page import is_report

START = "start"
RUN_FORMAT = 1
OUTPUT_ENDINGS = (OUTPUT, SCORES)
# Written once, with checksums in run.json.
_DOCUMENTS = (PARAMS_CONFIG, DATASET_CONFIGS, ENVIRONMENT, LAYERS)
# A temporary folder for the predictions of dev files.
PREDICTIONS = "predictions"
# The name of a model before it is removed.
_TO_REMOVE = "former"
# In the metadata of a state.
_STATE_MARK = {"machamp_lite": "state"}
_LOCK_KEYS = {"pid", "host", "since"}


def default_run_folder(dataset_configs: Sequence[str | Path], name: str | None = None) -> Path:
    """Creates ``logs/NAME/DATE_TIME``; by default, NAME is the configs' file names joined by dots.

    Raises ``ConfigError`` if it cannot be created.
    """
    name = name or ".".join(Path(path).stem for path in dataset_configs)
    if Path(name).is_absolute() or ".." in Path(name).parts or not name.isprintable():
        raise ConfigError(f"--name: found {name!r}, expected a name of a folder inside logs/")
    first = folder = Path("logs") / name / time.strftime("%Y.%m.%d_%H.%M.%S")
    number = 1
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        while not _create_folder(folder):
            number += 1
            folder = first.with_name(f"{first.name}_{number}")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be created ({error.strerror})") from None
    return folder


def _create_folder(folder: Path) -> bool:
    """Creates a folder; False if it exists, for example because another run began in the same second."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def dev_checksums(folder: Path) -> dict[str, str]:
    """The checksum in run.json of the dev file of each dataset that the run has predicted."""
    found = read_json_object(folder / RUN).get("dev")
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def record_dev_checksum(folder: Path, dataset: str, checksum: str) -> None:
    """Adds the checksum of a dev file that is predicted."""
    write_json(folder / RUN, read_json_object(folder / RUN) | {"dev": dev_checksums(folder) | {dataset: checksum}})


def recorded_checksums(folder: Path) -> dict[str, list[str]] | None:
    """The checksums in run.json by file name; None without a valid run.json."""
    document = read_json_object(folder / RUN)
    files = document.get("files")
    if document.get("format") != RUN_FORMAT or not isinstance(files, dict):
        return None
    return {
        name: [checksum for checksum in checksums if isinstance(checksum, str)]
        for name, checksums in files.items()
        if isinstance(checksums, list) and _can_be_recorded(name)
    }


def _can_be_recorded(name: str) -> bool:
    is_output = Path(name).name == name and name.endswith(OUTPUT_ENDINGS)
    return is_output or name in _DOCUMENTS


def mark_run_folder(folder: Path) -> None:
    """Marks a folder as a run folder, without any checksums."""
    write_json(folder / RUN, {"format": RUN_FORMAT, "files": {}})


def record_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    """Adds the checksums of files that are about to be written; those of existing files are kept."""
    recorded = recorded_checksums(folder) or {}
    for name, new in checksums.items():
        present = [old for old in recorded.get(name, []) if has_checksum(folder / name, (old,))]
        recorded[name] = list(dict.fromkeys([*present, new]))
    _write_checksums(folder, recorded)


def forget_old_checksums(folder: Path) -> None:
    """Removes the checksums of replaced or removed files, so that resumed and uninterrupted runs have equal files."""
    recorded = {
        name: [checksum for checksum in checksums if has_checksum(folder / name, (checksum,))]
        for name, checksums in (recorded_checksums(folder) or {}).items()
    }
    _write_checksums(folder, {name: checksums for name, checksums in recorded.items() if checksums})


def is_recorded(folder: Path, name: str) -> bool:
    """Whether a file is unchanged since a run wrote it."""
    return has_checksum(folder / name, (recorded_checksums(folder) or {}).get(name, ()))


def remove_if_recorded(folder: Path, name: str) -> None:
    """Removes a file if it is unchanged since a run wrote it."""
    if is_recorded(folder, name):
        (folder / name).unlink(missing_ok=True)


def _write_checksums(folder: Path, checksums: Mapping[str, Sequence[str]]) -> None:
    document = {"format": RUN_FORMAT, "files": dict(sorted(checksums.items()))}
    if dev := dev_checksums(folder):
        document["dev"] = dev
    write_json(folder / RUN, document)


def _write_document(folder: Path, name: str, document: Any) -> None:
    """Writes a JSON file, and its checksum into run.json."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    record_checksums(folder, {name: checksum_of_text(text)})
    with replacing_file(folder / name) as file:
        file.write(text)


def state_metadata() -> dict[str, str]:
    """The metadata that marks a state."""
    return dict(_STATE_MARK)


def is_state(path: Path) -> bool:
    """Whether a file is the state of a run."""
    return read_metadata(path).items() >= _STATE_MARK.items()


def is_lock(path: Path) -> bool:
    """Whether a file is the lock of a run, which may have been killed."""
    try:
        return is_regular_file(path) and (
            path.stat().st_size == 0 or read_json_object(path).keys() == _LOCK_KEYS
        )
    except OSError:
        return False


def is_epoch(path: Path) -> bool:
    """Whether a path in ``epochs/`` has a name that runs use."""
    return path.name == _TO_REMOVE or (path.name.isascii() and path.name.isdecimal())


def epoch_metrics_name(epoch: int) -> str:
    """The file with the metrics of an epoch; MaChAmp counts from 0 in the names of these files."""
    return f"metrics_epoch_{epoch - 1}.json"


def metrics_files(folder: Path) -> list[Path]:
    """The existing files of ``score_files``. They have no checksums, because times differ between runs."""
    paths = [folder / METRICS, folder / HISTORY, *sorted(folder.glob("metrics_epoch_*.json"))]
    return [path for path in paths if os.path.lexists(path)]


def is_metrics(path: Path) -> bool:
    """Whether a file contains metrics of a run: a list with one object per epoch, or a flat object."""
    content = read_any_json(path)
    if isinstance(content, dict):
        return content.keys() >= {"epoch", "best_epoch", "time_total"}
    return (
        isinstance(content, list)
        and bool(content)
        and all(
            isinstance(epoch, dict) and epoch.keys() >= {"epoch", "train", "total_loss"} for epoch in content
        )
    )


def output_names(datasets: Iterable[str]) -> list[str]:
    """The names of the predicted dev files and of their scores."""
    return [f"{name}{ending}" for name in datasets for ending in OUTPUT_ENDINGS]


def remove_older_run(folder: Path) -> None:
    """Removes the files of an overwritten run."""
    remove_model(folder / MODEL)
    _remove_epochs(folder, kept=())
    for path in filter(is_metrics, metrics_files(folder)):
        path.unlink()
    if is_report(folder / REPORT):
        (folder / REPORT).unlink()
    # The configs last: as long as they exist, the folder contains a run.
    recorded = recorded_checksums(folder) or {}
    for name in sorted(recorded, key=lambda name: name in (PARAMS_CONFIG, DATASET_CONFIGS)):
        remove_if_recorded(folder, name)
    mark_run_folder(folder)


def remove_temporaries(folder: Path) -> None:
    """Removes the temporary files of killed runs."""
    names = (MODEL, METRICS, HISTORY, *_DOCUMENTS, REPORT, RUN, PREDICTIONS)
    epochs = (path.name[1:].partition(".json")[0] + ".json" for path in folder.glob(".metrics_epoch_*.json.*"))
    remove_dead_temporaries(folder, [*names, *epochs])
    for name in (EPOCHS, STATE):
        remove_dead_temporaries(folder / name)


def config_documents(config: Config) -> dict[str, Any]:
    """The contents of the two files from which a run can be repeated, by name."""
    datasets = {name: dataset.model_dump() for name, dataset in config.datasets.items()}
    return {PARAMS_CONFIG: config.params.model_dump(), DATASET_CONFIGS: datasets}


def write_environment(folder: Path, document: Mapping[str, Any]) -> None:
    """Writes what the run is made with."""
    _write_document(folder, ENVIRONMENT, document)


def write_configs(folder: Path, config: Config) -> None:
    """Writes the two files from which a run can be repeated."""
    for name, document in config_documents(config).items():
        _write_document(folder, name, document)


def write_layer_weights(folder: Path, model: Model) -> None:
    """Writes the learnt weights of the encoder's layers per task; a single layer has the weight 1."""
    document: dict[str, Any] = {}
    for number, task in enumerate(model.tasks):
        mix: Any = model.mixes[number]
        several = len(model.layers[number]) > 1
        document[task] = {
            "layers": list(model.layers[number]),
            "weights": mix.weights.detach().softmax(0).tolist() if several else [1.0],
            "scale": mix.scale.item() if several else 1.0,
        }
    _write_document(folder, LAYERS, document)


def epoch_folder(folder: Path, epoch: int) -> Path:
    """The folder for the model of an epoch; creates the folder around it."""
    (folder / EPOCHS).mkdir(exist_ok=True)
    return folder / EPOCHS / str(epoch)


def rotate_checkpoints(folder: Path, best_epochs: Sequence[int]) -> None:
    """Moves the best epoch to ``model/``, keeps the next best in ``epochs/NUMBER/``, and removes the others.

    New models are in ``epochs/NUMBER/``. If this function is interrupted, calling it again completes the work.
    """
    if not best_epochs:
        return
    best, *others = best_epochs
    model, new = folder / MODEL, folder / EPOCHS / str(best)
    if new.exists():
        if model.exists():
            # The best epoch so far becomes the second best.
            aside = folder / EPOCHS / (str(others[0]) if others else _TO_REMOVE)
            remove_model(aside)
            os.rename(model, aside)
        os.rename(new, model)
    _remove_epochs(folder, kept=others)


def _remove_epochs(folder: Path, *, kept: Iterable[int]) -> None:
    names = set(map(str, kept))
    for path in (folder / EPOCHS).glob("*"):
        if path.name not in names and is_epoch(path):
            remove_model(path)
    with contextlib.suppress(OSError):
        # Fails if epochs are kept there.
        (folder / EPOCHS).rmdir()


def check_best_epoch(folder: Path, best_epochs: Sequence[int]) -> None:
    """Raises ``ConfigError`` without the model of the best epoch so far, which the run needs at its end."""
    if not best_epochs:
        return
    candidates = [folder / EPOCHS / str(best_epochs[0]), folder / MODEL]
    if not any(map(is_complete_model, candidates)):
        raise ConfigError(
            f"{folder / MODEL}: is missing or incomplete; it should contain epoch {best_epochs[0]}, the best one of "
            "this run; put it back to resume, or start the run again with --overwrite"
        )
