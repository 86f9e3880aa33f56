"""Whether a run may use a folder: checked before anything is written or removed there."""

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from machamp_lite.errors import ConfigError
from machamp_lite.files.temporaries import is_temporary
from machamp_lite.files.written import foreign_in_model, has_checksum, is_plain_file, is_state
from machamp_lite.training.run_folder import (
    EPOCHS,
    LOG,
    METRICS,
    MODEL,
    START,
    STATE,
    STATE_FILE,
    is_epoch,
    is_metrics,
    outputs_of,
)
from machamp_lite.training.run_lock import LOCK, is_lock, locked
from machamp_lite.training.run_notes import (
    DATASET_CONFIGS,
    LAYERS,
    PARAMS_CONFIG,
    RUN,
    make_notes,
    noted_in,
)

# A folder that has one of these holds a run that has begun to train.
_OF_STARTED_RUN = (PARAMS_CONFIG, MODEL, METRICS)
_NAMES = (MODEL, EPOCHS, STATE, METRICS, LAYERS, LOG, PARAMS_CONFIG, DATASET_CONFIGS, RUN)


def check_empty_names(names: Mapping[str, Any]) -> None:
    """Raises ``ConfigError`` with a line for each name (of a flag) whose value is empty or blank."""
    empty = [name for name, value in names.items() if isinstance(value, str) and not value.strip()]
    if empty:
        raise ConfigError(
            f"{name}: found the empty name {names[name]!r}, expected the name of a folder" for name in empty
        )


def check_utf8(path: Path) -> None:
    """Raises ``ConfigError`` for the name of a folder that is not UTF-8: safetensors cannot write there."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{path}: is not UTF-8, expected the name of a folder in UTF-8") from None


def check_run_folder(
    folder: Path,
    *,
    datasets: Iterable[str],
    overwrite: bool = False,
    resume: bool = False,
    inputs: Iterable[str | Path] = (),
) -> None:
    """Raises ``ConfigError`` if a run with these datasets may not write into a folder; writes nothing itself.

    A run folder is new, empty, or has our run.json. In the latter, what would be replaced or removed must be what
    runs have written there, and for a new run none of its ``inputs``.
    """
    check_utf8(folder)
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, expected a folder")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder}: cannot be written to")
    if noted_in(folder) is None:
        _check_empty(folder)
        return
    if not (overwrite or resume) and any(os.path.lexists(folder / name) for name in _OF_STARTED_RUN):
        raise ConfigError(f"{folder}: a run is already here; give another --model_dir, or --overwrite")
    foreign = next(_foreign(folder, outputs_of(datasets), resume=resume), None)
    if foreign is not None:
        found = "is a symbolic link" if foreign.is_symlink() else "was changed, or written by something else"
        raise ConfigError(
            f"{foreign}: {found}, and the run would replace or remove it; move it out of {folder}, or give another "
            "--model_dir"
        )
    if not resume:
        _check_inputs(folder, inputs)


@contextlib.contextmanager
def taken(
    folder: Path,
    *,
    datasets: Sequence[str],
    overwrite: bool = False,
    resume: bool = False,
    inputs: Sequence[str | Path] = (),
) -> Iterator[None]:
    """Checks a run folder, makes it if need be, and keeps other trainings out of it."""
    check = functools.partial(
        check_run_folder, folder, datasets=datasets, overwrite=overwrite, resume=resume, inputs=inputs
    )
    check()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{folder}: cannot be made ({reason})") from None
    with locked(folder):
        # Once more, for another run may have ended here since.
        check()
        if noted_in(folder) is None:
            make_notes(folder)
        yield


def _check_empty(folder: Path) -> None:
    """Raises ``ConfigError`` for a folder without run.json that is not empty, except for a lock or temporary files."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if not (path.name == LOCK and is_lock(path)) and not is_temporary(path)
    )
    if PARAMS_CONFIG in names:
        raise ConfigError(
            f"{folder}: a run is already here, but without {RUN}: one of an older version, or not ours; it "
            "cannot be overwritten or resumed: give another --model_dir"
        )
    if names:
        raise ConfigError(
            f"{folder}: is no run folder (found {names[0]!r}, but no {RUN} of ours); give a new or empty folder as "
            "--model_dir"
        )


def _foreign(folder: Path, outputs: Iterable[str], *, resume: bool) -> Iterator[Path]:
    """Files with a name of ours that were not written by a run; files with other names are left alone.

    With ``resume``, not the configs and the state: what is wrong with them is reported when they are read.
    """
    checksums = noted_in(folder) or {}
    for name in (RUN, LOG, LOCK):
        if os.path.lexists(folder / name) and not is_plain_file(folder / name):
            yield folder / name
    read_later = {PARAMS_CONFIG, DATASET_CONFIGS} if resume else set()
    for name in sorted({*checksums, *outputs, PARAMS_CONFIG, DATASET_CONFIGS, LAYERS} - read_later):
        path = folder / name
        if os.path.lexists(path) and not has_checksum(path, checksums.get(name, ())):
            yield path
    if os.path.lexists(folder / METRICS) and not is_metrics(folder / METRICS):
        yield folder / METRICS
    yield from filter(None, [foreign_in_model(folder / MODEL)])
    for name in (EPOCHS, STATE):
        place = folder / name
        if not os.path.lexists(place):
            continue
        if place.is_symlink() or not place.is_dir():
            yield place
            continue
        for path in sorted(path for path in place.iterdir() if not is_temporary(path)):
            if name == STATE and path.name == STATE_FILE:
                if not (is_state(path) or (resume and is_plain_file(path))):
                    yield path
            elif path.name == START if name == STATE else is_epoch(path):
                yield from filter(None, [foreign_in_model(path)])
            else:
                yield path


def _check_inputs(folder: Path, inputs: Iterable[str | Path]) -> None:
    """Raises ``ConfigError`` if an input of the new run is in what it would replace or remove."""
    names = {*_NAMES, *(noted_in(folder) or ())}
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
