"""Config files as plain dictionaries: jsonnet in, merged, with ``--set`` laid on top."""

import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import _jsonnet

from machamp_lite.config.faults import ConfigFaults
from machamp_lite.errors import ConfigError

_HERE = Path(__file__).resolve().parent.parent
# In an installed package params.json lies inside it, in a checkout beside it.
DEFAULT_PARAMS = next(
    (path for path in (_HERE / "params.json", _HERE.parent / "configs" / "params.json") if path.exists()),
    _HERE.parent / "configs" / "params.json",
)


def read_jsonnet(path: str | Path) -> dict[str, Any]:
    """Evaluates a jsonnet file to a dictionary; raises ``ConfigError`` with the file and line of a fault."""
    path = str(path)
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: no such file{nearest_file(path)}")
    try:
        value = json.loads(_jsonnet.evaluate_file(path))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = lines[0].removeprefix("STATIC ERROR: ").removeprefix("RUNTIME ERROR: ")
        where = "" if message.startswith(path) else f"{path}: "
        raise ConfigError(f"{where}{message} (expected jsonnet)") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: found a {type(value).__name__}, expected an object {{...}}")
    return value


def nearest_file(path: str) -> str:
    """The end of an error line that offers the nearest file of the same folder."""
    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return f"; the folder {folder} does not exist either"
    nearest = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{os.path.join(folder, nearest[0])}'?" if nearest else ""


def overlay(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Lays one dictionary over another, key by key and at every depth."""
    result = dict(base)
    for key, value in top.items():
        below = result.get(key)
        result[key] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def parse_override(text: str, datasets: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    """Reads ``a.b=value``; the value is JSON, or else a string. A dataset's own name may hold dots."""
    key, equals, value = text.partition("=")
    if not equals or not key or "" in key.split("."):
        raise ConfigError(f"--set {text}: expected KEY=VALUE, for example training.num_epochs=3")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    for name in sorted(datasets, key=len, reverse=True):
        if key == name or key.startswith(f"{name}."):
            return (name, *filter(None, key[len(name) :].split("."))), parsed
    return tuple(key.split(".")), parsed


def override(document: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets one value of a document, making the objects on its way; raises ``ConfigError`` through a non-object."""
    for key in path[:-1]:
        document = document.setdefault(key, {})
        if not isinstance(document, dict):
            raise ConfigError(f"'{key}' is no object, so nothing below it can be set")
    document[path[-1]] = value


def apply_overrides(
    texts: Sequence[str],
    *,
    params: dict[str, Any],
    params_source: str,
    datasets: dict[str, dict[str, Any]],
    sources: Mapping[str, str],
    faults: ConfigFaults,
) -> None:
    """Lays every ``--set`` over the document it names: a dataset if its first key is one's name, else params."""
    for text in texts:
        try:
            path, value = parse_override(text, list(datasets))
            is_dataset = path[0] in datasets
            if is_dataset and len(path) == 1:
                raise ConfigError("names a whole dataset, expected one of its keys")
            override(datasets if is_dataset else params, path, value)
            faults.overrides[(sources[path[0]] if is_dataset else params_source, path)] = f"--set {text}"
        except ConfigError as error:
            message = str(error)
            faults.lines.append(message if message.startswith("--set") else f"--set {text}: {message}")
