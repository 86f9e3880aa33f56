"""The notes of a run folder, run.json, which mark it as one and hold the checksums of what runs wrote there.

A checksum is noted before its file takes its name, so that a run that is killed leaves no file without one.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machamp_lite.files.atomic import replacing_file, write_json
from machamp_lite.files.written import has_checksum, read_object

RUN, FORMAT = "run.json", 1
PARAMS_CONFIG, DATASET_CONFIGS, LAYERS = "params-config.json", "dataset-configs.json", "layers.json"
OUTPUT_ENDINGS = (".out", ".out.eval")


def noted_in(folder: Path) -> dict[str, list[str]] | None:
    """The checksums of what runs have written into a folder, by name; None if it is no run folder."""
    document = read_object(folder / RUN)
    files = document.get("files")
    if document.get("format") != FORMAT or not isinstance(files, dict):
        return None
    return {
        name: [each for each in checksums if isinstance(each, str)]
        for name, checksums in files.items()
        if isinstance(checksums, list) and _can_be_noted(name)
    }


def _can_be_noted(name: str) -> bool:
    """Whether a file of this name may have a checksum in run.json."""
    documents = (PARAMS_CONFIG, DATASET_CONFIGS, LAYERS)
    return name in documents or (Path(name).name == name and name.endswith(OUTPUT_ENDINGS))


def make_notes(folder: Path) -> None:
    """Marks a folder as a run folder, without any checksums."""
    write_json(folder / RUN, {"format": FORMAT, "files": {}})


def note(folder: Path, checksums: Mapping[str, str]) -> None:
    """Adds the checksums of files that are about to be written to run.json; those of present files are kept."""
    noted = noted_in(folder) or {}
    for name, new in checksums.items():
        present = [old for old in noted.get(name, []) if has_checksum(folder / name, (old,))]
        noted[name] = list(dict.fromkeys([*present, new]))
    write_json(folder / RUN, {"format": FORMAT, "files": dict(sorted(noted.items()))})


def write_document(folder: Path, name: str, document: Any) -> None:
    """Writes JSON into a run folder, and notes it in run.json."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    note(folder, {name: hashlib.blake2b(text.encode()).hexdigest()})
    with replacing_file(folder / name) as file:
        file.write(text)


def finish_notes(folder: Path) -> None:
    """Removes checksums of files that were replaced or removed, so that stopping a run leaves no trace in run.json."""
    noted = {
        name: [each for each in checksums if has_checksum(folder / name, (each,))]
        for name, checksums in (noted_in(folder) or {}).items()
    }
    files = {name: checksums for name, checksums in noted.items() if checksums}
    write_json(folder / RUN, {"format": FORMAT, "files": dict(sorted(files.items()))})


def is_noted(folder: Path, name: str) -> bool:
    """Whether a file is as a run has noted it."""
    return has_checksum(folder / name, (noted_in(folder) or {}).get(name, ()))


def remove_noted(folder: Path, name: str) -> None:
    """Removes a file if it is as a run has noted it."""
    if is_noted(folder, name):
        (folder / name).unlink(missing_ok=True)
