"""Checks whether a run may use a folder, before anything is written or removed there, and locks it.

The operating system releases the lock when the process ends, even if it is killed.
"""

import contextlib
import functools
import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import filterfalse
from pathlib import Path

from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError, check_empty_names
from machamp_lite.files.checksums import has_checksum, is_regular_file, read_json_object
from machamp_lite.files.temporaries import is_temporary, lock_file
from machamp_lite.model.model_folder import first_unknown_file, folder_of_model_file
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.run_folder import (
    DATASET_CONFIGS,
    EPOCHS,
    HISTORY,
    LAYERS,
    LOG,
    METRICS,
    MODEL,
    PARAMS_CONFIG,
    RUN,
    START,
    STATE,
    STATE_FILE,
    is_epoch,
    is_metrics,
    is_state,
    mark_run_folder,
    metrics_files,
    output_names,
    recorded_checksums,
)

logger = logging.getLogger(__name__)

LOCK = "run.lock"
_LOCK_KEYS = {"pid", "host", "since"}
# A folder with one of these contains a run that has started to train.
_STARTED_RUN = (PARAMS_CONFIG, MODEL, METRICS)
_RUN_FILES = (MODEL, EPOCHS, STATE, METRICS, HISTORY, LAYERS, LOG, PARAMS_CONFIG, DATASET_CONFIGS, RUN)


@contextlib.contextmanager
def lock_run_folder(
    folder: str | Path,
    config: Config,
    *,
    overwrite: bool = False,
    resume: bool = False,
    retrain: str | Path | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Path]:
    """Checks a run folder, creates it if necessary, and locks it until the block ends.

    Raises ``ConfigError`` if ``check_run_folder`` does, or if another run has locked the folder. Of several
    ``processes``, the main process holds the lock.
    """
    check_empty_names({"folder": folder, "retrain": retrain})
    folder = Path(folder)
    check = functools.partial(
        check_run_folder,
        folder,
        datasets=config.datasets,
        overwrite=overwrite,
        resume=resume,
        inputs=_inputs(config, retrain),
    )
    with contextlib.ExitStack() as stack:

        def lock() -> None:
            if not processes.is_main_process:
                return
            check()
            _create_folder(folder)
            stack.enter_context(_locked(folder))
            # Again, because another run may have ended here in the meantime.
            check()
            if recorded_checksums(folder) is None:
                mark_run_folder(folder)

        processes.run_on_all_ranks(lock)
        yield folder


def check_run_folders(
    folders: Sequence[Path], configs: Sequence[Config], *, overwrite: bool, retrain: str | Path | None
) -> None:
    """Raises ``ConfigError`` if one of several new runs may not use its folder; writes nothing."""
    inputs = [path for config in configs for path in _inputs(config, retrain)]
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


def _inputs(config: Config, retrain: str | Path | None) -> list[str | Path]:
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


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{folder}: cannot be created ({reason})") from None


def _check_empty(folder: Path) -> None:
    """Raises ``ConfigError`` for a folder without run.json that has other files than locks and temporary files."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if not (path.name == LOCK and _is_lock(path)) and not is_temporary(path)
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
    for name in sorted({*checksums, *outputs, PARAMS_CONFIG, DATASET_CONFIGS, LAYERS} - read_later):
        path = folder / name
        if os.path.lexists(path) and not has_checksum(path, checksums.get(name, ())):
            yield path
    yield from filterfalse(is_metrics, metrics_files(folder))
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


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder; raises ``ConfigError`` naming the process that has locked it."""
    path = folder / LOCK
    descriptor = _open_locked(path)
    try:
        yield
    finally:
        # Removed before the lock is released, so that the next process creates and locks a new file.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _is_lock(path: Path) -> bool:
    """Whether a file is the lock of a run, which may have been killed."""
    try:
        return is_regular_file(path) and (
            path.stat().st_size == 0 or read_json_object(path).keys() == _LOCK_KEYS
        )
    except OSError:
        return False


def _open_locked(path: Path) -> int:
    """Opens and locks the lock file; returns its descriptor."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _lock(path, descriptor)
            if _is_same_file(path, descriptor):
                since = time.strftime("%Y-%m-%d %H:%M:%S")
                holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{json.dumps(holder)}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The previous holder has removed the file in the meantime.
        os.close(descriptor)


def _lock(path: Path, descriptor: int) -> None:
    is_locked = lock_file(descriptor)
    if is_locked is None:
        logger.warning("%s: this file system does not support locks; start no other run in this folder meanwhile", path)
    elif not is_locked:
        holder = read_json_object(path)
        who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
        raise ConfigError(
            f"{path.parent}: is in use by {who if holder else 'another process'}; wait until it has ended, or give "
            "another --model_dir"
        )


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
