"""Where an exported model comes from: the run, its pretrained encoder, and versions; without paths of this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machamp_lite
from machamp_lite.files.checksums import checksum, read_json_object
from machamp_lite.files.run_files import ENVIRONMENT, PARAMS_CONFIG
from machamp_lite.model.model_folder import CONFIG, WEIGHTS, find_model_folder


def provenance_of(path: str | Path, *, command: Sequence[str] = ()) -> dict[str, Any]:
    """What is known of a model: its encoder, the versions it was trained with, the checksum of its weights.

    ``command`` is the command that exports it; of paths in it, only the last part is kept.
    """
    folder = find_model_folder(path)
    run = folder.parent
    environment = read_json_object(run / ENVIRONMENT)
    document = {
        "machamp_lite": machamp_lite.__version__,
        "model": (run if folder.name == "model" else folder).resolve().name,
        "weights": {"blake2b": checksum(folder / WEIGHTS)},
        "encoder": environment.get("encoder") or {"name": encoder_name(path)},
        "trained_with": environment.get("versions", {}),
    }
    if command:
        document["command"] = " ".join(without_folders(part) for part in command)
    return document


def encoder_name(path: str | Path) -> str:
    """The pretrained encoder of a model: its name on the hub, or that of its folder."""
    folder = find_model_folder(path)
    params = read_json_object(folder.parent / PARAMS_CONFIG) or read_json_object(folder / CONFIG).get("params", {})
    return public_name(str(params.get("transformer_model", "encoder")))


def public_name(name: str) -> str:
    """A name of an encoder without the folders of this machine.

    >>> public_name("/home/me/encoders/bert"), public_name("FacebookAI/xlm-roberta-base")
    ('bert', 'FacebookAI/xlm-roberta-base')
    """
    path = Path(name)
    is_local = path.is_absolute() or path.is_dir() or name.startswith((".", "~")) or len(path.parts) > 2
    return path.name if is_local else name


def without_folders(argument: str) -> str:
    """An argument of a command; of a path to a file or folder, its last part."""
    return Path(argument).name if "/" in argument and public_name(argument) != argument else argument
