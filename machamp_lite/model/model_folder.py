"""Finds the files of a model folder that this program wrote, because nothing else may be replaced or removed.

The metadata of the weights contains the checksums of all other files except config.json, which is recognised by its
keys, because tuning a threshold rewrites it.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from machamp_lite.errors import ConfigError, nearest_file
from machamp_lite.files.checksums import checksum, has_checksum, read_json_object, read_metadata

CONFIG, LABELS, WEIGHTS, ENCODER = "config.json", "labels.json", "model.safetensors", "encoder"
# Only in the folders that ``machamp-lite export`` writes with --onnx and --encoder.
ONNX_MANIFEST, PROVENANCE = "onnx.json", "machamp_lite.json"
_METADATA_KEY = "machamp_lite"
_MODEL_OF_MACHAMP = re.compile(r"model(_\d+)?\.pt|model\.tar\.gz")
_CONFIG_KEYS = {"format", "params", "datasets"}


def folder_of_model_file(path: str | Path) -> Path:
    """The run folder in which MaChAmp would have this file of a model; any other path is returned as it is.

    Raises ``ConfigError`` if the file is there, because it is a model of MaChAmp.
    """
    path = Path(path)
    if not _MODEL_OF_MACHAMP.fullmatch(path.name) or os.path.isdir(path):
        return path
    if os.path.isfile(path) and not any((folder / WEIGHTS).exists() for folder in (path.parent, path.parent / "model")):
        raise ConfigError(
            f"{path}: is a model of MaChAmp, which is not read because it is pickled, expected a run folder; convert a "
            "model of MaChAmp 0.4 with scripts/convert_machamp_model.py, or train it again with its configs"
        )
    return path.parent


def find_model_folder(path: str | Path) -> Path:
    """The path of a model folder, or that of the ``model`` folder in a run folder; else raises ``ConfigError``.

    The path of a model of MaChAmp (model.pt, model.tar.gz) in such a folder is also accepted.
    """
    try:
        path = folder_of_model_file(path)
        # safetensors cannot open other names.
        str(path).encode()
        for folder in (path / "model", path):
            missing = [name for name in (CONFIG, LABELS, WEIGHTS, ENCODER) if not (folder / name).exists()]
            if not missing:
                return folder
            if (CONFIG not in missing or WEIGHTS not in missing) and not (folder / PROVENANCE).is_file():
                raise ConfigError(
                    [f"{folder / name}: is missing, expected a complete model folder" for name in missing]
                )
        found, similar = ("no model", "") if path.exists() else ("no such folder", nearest_file(str(path)))
        if (path / ONNX_MANIFEST).is_file():
            found, similar = "a model in ONNX", "; a model in ONNX is loaded with machamp_lite.load_onnx in Python"
        elif (path / PROVENANCE).is_file():
            found, similar = "an exported encoder without tasks", "; transformers loads it: AutoModel.from_pretrained"
    except (OSError, ValueError) as error:
        found, similar = f"a path that no folder can have ({getattr(error, 'strerror', None) or error})", ""
    raise ConfigError(f"{path}: found {found}, expected a run folder or its model folder (with {CONFIG}){similar}")


def model_metadata(folder: Path) -> dict[str, str]:
    """The metadata of the weights, which are written last: the checksums of the other files."""
    checksums = {
        str(path.relative_to(folder)): checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder) not in (Path(CONFIG), Path(WEIGHTS))
    }
    return {_METADATA_KEY: json.dumps(checksums)}


def is_complete_model(folder: Path) -> bool:
    """Whether a model folder has exactly the files that were written there, unchanged."""
    checksums = _recorded_checksums(folder)
    if checksums is None:
        return False
    return set(_own_files(folder)) == {folder / name for name in (*checksums, CONFIG, WEIGHTS)}


def first_unknown_file(folder: Path) -> Path | None:
    """The first path in a model folder that this program did not write; None if there is none or no folder."""
    if not os.path.lexists(folder):
        return None
    if folder.is_symlink() or not folder.is_dir():
        return folder
    own_files = set(_own_files(folder))
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path in own_files):
            return path
    return None


def remove_model(folder: Path) -> None:
    """Removes the files of a model folder that this program wrote, and the folder if nothing else is in it.

    If it is interrupted, a second call removes the rest.
    """
    if folder.is_symlink():
        return
    for path in _own_files(folder):
        path.unlink(missing_ok=True)
    folders = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for path in [*sorted(folders, reverse=True), folder]:
        with suppress(OSError):
            path.rmdir()


def _own_files(folder: Path) -> Iterator[Path]:
    """The files of a model folder that this program wrote; the weights come last, because they have the checksums."""
    checksums = _recorded_checksums(folder)
    if checksums is None:
        return
    for path in sorted(folder.rglob("*")):
        if has_checksum(path, (checksums.get(str(path.relative_to(folder))),)):
            yield path
    if read_json_object(folder / CONFIG).keys() == _CONFIG_KEYS:
        yield folder / CONFIG
    yield folder / WEIGHTS


def _recorded_checksums(folder: Path) -> dict[str, Any] | None:
    """The checksums in the metadata of a model's weights; None if this program did not write them."""
    try:
        checksums = json.loads(read_metadata(folder / WEIGHTS).get(_METADATA_KEY, ""))
    except ValueError:
        return None
    return checksums if isinstance(checksums, dict) else None
