"""Checks whether a run may use a folder, before anything is written or removed there."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import filterfalse
from pathlib import Path

from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError
from machamp_lite.files.checksums import has_checksum, is_regular_file
from machamp_lite.files.run_files import (
    DATASET_CONFIGS,
    ENVIRONMENT,
    EPOCHS,
    HISTORY,
    LAYERS,
    LOCK,
    LOG,
    METRICS,
    MODEL,
    PARAMS_CONFIG,
    REPORT,
    RUN,
    STATE,
    STATE_FILE,
)
from machamp_lite.files.temporaries import is_temporary
from machamp_lite.model.model_folder import first_unknown_file, folder_of_model_file
from machamp_lite.reporting.page import is_report
from machamp_lite.training.run_folder import (
    START,
    is_epoch,
    is_lock,
    is_metrics,
    is_state,
    metrics_files,
    output_names,
    recorded_checksums,
)

# A folder with one of these contains a run that has started to train.
_STARTED_RUN = (PARAMS_CONFIG, MODEL, METRICS)
_DOCUMENTS = (PARAMS_CONFIG, DATASET_CONFIGS, ENVIRONMENT, LAYERS)
_RUN_FILES = (MODEL, EPOCHS, STATE, METRICS, HISTORY, LOG, REPORT, RUN, *_DOCUMENTS)


def check_run_folders(
    folders: Sequence[Path], configs: Sequence[Config], *, overwrite: bool, retrain: str | Path | None
) -> None:
    """Raises ``ConfigError`` if one of several new runs may not use its folder; writes nothing."""
    inputs = [path for config in configs for path in inputs_of(config, retrain)]
    for folder, config in zip(folders, configs, strict=True):
        check_run_folder(folder, datasets=config.datasets, overwrite=overwrite, inputs=inputs)


def check_run_folder(
    folder: Path,
    *,
    datasets: Iterable[str],
    overwrite: bool = False,
    resume: bool = False,
    inputs: Iterable[str | Path] = (),
) -> None:
    """Raises ``ConfigError`` if a run with these datasets may not write into a folder; writes nothing.

    The folder must be new, empty, or marked as a run folder. In a run folder, only files that runs wrote may be
    replaced or removed, and a new run must not replace one of its ``inputs``.
    """
    if re.search(r"[\ud800-\udfff]", str(folder)):
        # safetensors cannot write there.
        raise ConfigError(f"{folder}: is not UTF-8, expected the name of a folder in UTF-8")
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, expected a folder")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder}: cannot be written to")
    if recorded_checksums(folder) is None:
        _check_empty(folder)
        return
    if not (overwrite or resume) and any(os.path.lexists(folder / name) for name in _STARTED_RUN):
        raise ConfigError(f"{folder}: a run is already here; give another --model_dir, or --overwrite")
    unknown = next(filter(None, _unknown_files(folder, output_names(datasets), resume=resume)), None)
    if unknown is not None:
        found = "is a symbolic link" if unknown.is_symlink() else "was changed, or written by something else"
        raise ConfigError(
            f"{unknown}: {found}, and the run would replace or remove it; move it out of {folder}, or give another "
            "--model_dir"
        )
    if not resume:
        _check_inputs(folder, inputs)


def inputs_of(config: Config, retrain: str | Path | None) -> list[str | Path]:
    """The files that a run reads: data, configs, a pretrained encoder, a model to start from."""
    data = [
        path
        for dataset in config.datasets.values()
        for path in (dataset.train_data_path, dataset.dev_data_path)
    ]
    given = [*data, *config.sources.values(), config.params_source, config.params.transformer_model]
    inputs: list[str | Path] = [path for path in given if path is not None]
    if retrain is not None:
        retrain = folder_of_model_file(retrain)
        inputs += [Path(retrain) / MODEL, retrain]
    return inputs


def _check_empty(folder: Path) -> None:
    """Raises ``ConfigError`` for a folder without run.json that has other files than locks and temporary files."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if not (path.name == LOCK and is_lock(path)) and not is_temporary(path)
    )
    if PARAMS_CONFIG in names:
        raise ConfigError(
            f"{folder}: a run is already here, but without {RUN}, from an older version or another program; it "
            "cannot be overwritten or resumed: give another --model_dir"
        )
    if names:
        raise ConfigError(
            f"{folder}: is not a run folder (found {names[0]!r}, but no {RUN}); give a new or empty folder as "
            "--model_dir"
        )


def _unknown_files(folder: Path, outputs: Iterable[str], *, resume: bool) -> Iterator[Path | None]:
    """Files that have the name of a run's file but were not written by a run, or None; other files are left alone.

    With ``resume``, configs and state are not checked here, because they are checked when they are read.
    """
    checksums = recorded_checksums(folder) or {}
    for name in (RUN, LOG, LOCK):
        if os.path.lexists(folder / name) and not is_regular_file(folder / name):
            yield folder / name
    read_later = {PARAMS_CONFIG, DATASET_CONFIGS} if resume else set()
    for name in sorted({*checksums, *outputs, *_DOCUMENTS} - read_later):
        path = folder / name
        if os.path.lexists(path) and not has_checksum(path, checksums.get(name, ())):
            yield path
    yield from filterfalse(is_metrics, metrics_files(folder))
    if os.path.lexists(folder / REPORT) and not is_report(folder / REPORT):
        yield folder / REPORT
    yield first_unknown_file(folder / MODEL)
    for path in _files_in(folder / EPOCHS):
        yield first_unknown_file(path) if is_epoch(path) else path
    for path in _files_in(folder / STATE):
        if path.name == START:
            yield first_unknown_file(path)
        elif not (path.name == STATE_FILE and (is_state(path) or (resume and is_regular_file(path)))):
            yield path


def _files_in(folder: Path) -> list[Path]:
    """The files in a folder except temporary ones; the path itself if it is not a folder."""
    if not os.path.lexists(folder):
        return []
    if folder.is_symlink() or not folder.is_dir():
        return [folder]
    return sorted(path for path in folder.iterdir() if not is_temporary(path))


def _check_inputs(folder: Path, inputs: Iterable[str | Path]) -> None:
    """Raises ``ConfigError`` if the new run would replace or remove one of its inputs."""
    names = {*_RUN_FILES, *(recorded_checksums(folder) or ())}
    names |= {path.name for path in metrics_files(folder)}
    targets = [(folder / name).resolve() for name in names if os.path.lexists(folder / name)]
    files = [path for target in targets for path in (target, *target.rglob("*"))]
    identities = {(status.st_dev, status.st_ino) for status in map(os.stat, files)}
    for given in map(Path, inputs):
        if not given.exists():
            continue
        for path in (given, *(sorted(given.iterdir()) if given.is_dir() else ())):
            real = path.resolve()
            status = real.stat() if real.exists() else None
            if any(real.is_relative_to(target) for target in targets) or (
                status is not None and (status.st_dev, status.st_ino) in identities
            ):
                raise ConfigError(
                    f"{given}: is an input of the run, and --overwrite would replace or remove it; copy it out of "
                    f"{folder}, or give another --model_dir"
                )
