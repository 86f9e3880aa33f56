"""Which files a run has written: nothing else is ever replaced or removed.

Safetensors of ours have a mark in their metadata. The mark of a model's weights also has the checksums of the files
beside them, except config.json, which tuning a threshold rewrites and which is recognised by its keys.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

_MARK = "machamp_lite"
_STATE = "state"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_CONFIG_KEYS = {"format", "params", "datasets"}


def checksum(path: str | Path) -> str:
    """The checksum of a regular file; raises ``OSError`` for anything else."""
    if not os.path.isfile(path):
        raise OSError(f"{path} is no file")
    with open(path, "rb") as file:
        # Three times as fast as SHA-256 on machines without instructions for it.
        return hashlib.file_digest(file, "blake2b").hexdigest()


def is_plain_file(path: Path) -> bool:
    """Whether it is a regular file, and not a symbolic link to one."""
    return path.is_file() and not path.is_symlink()


def has_checksum(path: Path, checksums: Any) -> bool:
    """Whether it is a regular file with one of these checksums."""
    try:
        return is_plain_file(path) and checksum(path) in checksums
    except OSError:
        return False


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; empty if it has none, or is no such file."""
    if not is_plain_file(path):
        return {}
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError, ValueError):
        return {}


def mark_of_state() -> dict[str, str]:
    """The metadata of a state."""
    return {_MARK: _STATE}


def is_state(path: Path) -> bool:
    """Whether a file is a state that a run has written."""
    return metadata(path).get(_MARK) == _STATE


def mark_of_model(folder: Path) -> dict[str, str]:
    """The metadata of the weights of a model folder in which everything else is already written."""
    return {
        _MARK: json.dumps(
            {
                str(path.relative_to(folder)): checksum(path)
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path.relative_to(folder) not in (Path(CONFIG), Path(WEIGHTS))
            }
        )
    }


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a regular file; empty if it holds anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if is_plain_file(path) else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def model_files(folder: Path) -> Iterator[Path]:
    """The files of a model folder that a run has written; the weights, which have the mark, come last."""
    checksums = _checksums_beside(folder / WEIGHTS)
    if checksums is None:
        return
    for path in sorted(folder.rglob("*")):
        if has_checksum(path, (checksums.get(str(path.relative_to(folder))),)):
            yield path
    if read_object(folder / CONFIG).keys() == _CONFIG_KEYS:
        yield folder / CONFIG
    yield folder / WEIGHTS


def is_whole_model(folder: Path) -> bool:
    """Whether a model folder has all that a run wrote there."""
    checksums = _checksums_beside(folder / WEIGHTS)
    if checksums is None:
        return False
    return set(model_files(folder)) == {folder / name for name in (*checksums, CONFIG, WEIGHTS)}


def _checksums_beside(weights: Path) -> dict[str, Any] | None:
    """The checksums of the other files of a model folder, from its weights; None if they are not ours."""
    try:
        checksums = json.loads(metadata(weights).get(_MARK, ""))
    except ValueError:
        return None
    return checksums if isinstance(checksums, dict) else None


def foreign_in_model(folder: Path) -> Path | None:
    """The first thing in a model folder that no run has written; None also if there is no such folder."""
    if not os.path.lexists(folder):
        return None
    if folder.is_symlink() or not folder.is_dir():
        return folder
    ours = set(model_files(folder))
    every_path = sorted(folder.rglob("*"))
    return next(
        (path for path in every_path if path.is_symlink() or not (path.is_dir() or path in ours)), None
    )


def remove_model(folder: Path) -> None:
    """Removes what a run has written of a model folder, and the folder if nothing else is in it.

    Stopped half-way and called again, it removes the rest.
    """
    if folder.is_symlink():
        return
    for path in model_files(folder):
        path.unlink(missing_ok=True)
    folders = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for path in [*sorted(folders, reverse=True), folder]:
        with suppress(OSError):
            path.rmdir()
