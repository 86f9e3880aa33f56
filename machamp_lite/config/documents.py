"""Config files as plain dictionaries: jsonnet in, merged, with ``--set`` laid on top."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from machamp_lite.config.error_messages import ConfigFaults, show
from machamp_lite.config.jsonnet import evaluate
from machamp_lite.errors import ConfigError, did_you_mean, nearest, shorten

# No key of a config has as many keys above it.
DEEPEST = 20
LONGEST_FLAG = 120
_HERE = Path(__file__).resolve().parent.parent
# In an installed package params.json lies inside it, in a checkout beside it.
DEFAULT_PARAMS = next(
    (path for path in (_HERE / "params.json", _HERE.parent / "configs" / "params.json") if path.exists()),
    _HERE.parent / "configs" / "params.json",
)
# In bytes; class weights of a million labels take less.
LARGEST_CONFIG = 2**26


def read_jsonnet(path: str | Path) -> dict[str, Any]:
    """Evaluates a jsonnet file to a dictionary; raises ``ConfigError`` with the file and line of a fault."""
    path = str(path)
    if os.path.isdir(path):
        raise ConfigError(f"{path}: is a folder, expected a file")
    if not os.path.isfile(path):
        raise ConfigError(f"{path or show(path)}: no such file{nearest_file(path)}")
    try:
        if os.path.getsize(path) > LARGEST_CONFIG:
            raise ConfigError(f"{path}: is larger than {LARGEST_CONFIG >> 20} MB, expected a config")
        value = evaluate(path, Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        found = f"0x{error.object[error.start]:02x} at byte {error.start + 1}"
        raise ConfigError(f"{path}: found {found}, expected UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path}: found too many brackets inside each other, expected fewer") from None
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read as jsonnet ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected an object {{...}}, found {show(value)}")
    return value


def nearest_file(path: str) -> str:
    """The end of an error line that offers the nearest file of the same folder."""
    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except (OSError, ValueError):
        return f"; the folder {folder} does not exist either"
    nearest = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{os.path.join(folder, nearest[0])}'?" if nearest else ""


def deep_merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Lays one dictionary over another, key by key and at every depth."""
    result = dict(base)
    for key, value in top.items():
        below = result.get(key)
        result[key] = deep_merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def parse_override(text: str, datasets: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    """Reads ``a.b=value``; the value is JSON, or else a string. A dataset's own name may hold dots."""
    key, equals, value = text.partition("=")
    if not equals or not key or "" in key.split(".") or key.count(".") > DEEPEST:
        raise ConfigError("expected KEY=VALUE, for example training.num_epochs=3")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        parsed = value
    for name in sorted(datasets, key=len, reverse=True):
        if key == name or key.startswith(f"{name}."):
            return (name, *filter(None, key[len(name) :].split("."))), parsed
    return tuple(key.split(".")), parsed


def override(document: dict[str, Any], path: Sequence[str], value: Any) -> tuple[str, ...]:
    """Sets one value of a document, making the objects on its way; returns the outermost place that it made or set.

    Raises ``ConfigError`` if something on the way is no object.
    """
    made = len(path)
    for depth, key in enumerate(path[:-1], start=1):
        if key not in document:
            made = min(made, depth)
        document = document.setdefault(key, {})
        if not isinstance(document, dict):
            raise ConfigError(f"'{key}' is no object, so nothing below it can be set")
    document[path[-1]] = value
    return tuple(path[:made])


def apply_overrides(
    texts: Sequence[str],
    *,
    params: dict[str, Any],
    params_source: str,
    params_keys: Sequence[str],
    datasets: dict[str, dict[str, Any]],
    sources: Mapping[str, str],
    faults: ConfigFaults,
) -> None:
    """Lays every ``--set`` over the document it names: a dataset if its first key is one's name, else params."""
    complete = not faults.lines
    tasks = {name: list(_tasks(dataset)) for name, dataset in datasets.items()}
    for text in texts:
        flag = f"--set {shorten(text, LONGEST_FLAG)}"
        try:
            path, value = parse_override(text, list(datasets))
            is_dataset = path[0] in datasets
            if is_dataset and len(path) == 1:
                raise ConfigError("names a whole dataset, expected one of its keys")
            if not is_dataset and path[0] not in params_keys:
                # If a file could not be read, its keys are unknown.
                if complete:
                    raise ConfigError(_unknown(path, datasets, params_keys))
                continue
            place = override(datasets if is_dataset else params, path, value)
            faults.add_flag(sources[path[0]] if is_dataset else params_source, place, flag)
        except ConfigError as error:
            faults.add(flag, [], str(error))
    for name, dataset in datasets.items():
        _leave_out_misspelt_tasks(name, dataset, known=tasks[name], source=sources[name], faults=faults)


def _tasks(dataset: Mapping[str, Any]) -> dict[str, Any]:
    tasks = dataset.get("tasks")
    return tasks if isinstance(tasks, dict) else {}


def _unknown(path: Sequence[str], datasets: Iterable[str], params_keys: Iterable[str]) -> str:
    """The message about an unknown first key of a path; the names of datasets may have dots."""
    known = [*datasets, *params_keys]
    for end in range(1, len(path) + 1):
        name = ".".join(path[:end])
        if hint := nearest(name, known):
            return f"unknown '{name}'{hint}"
    return f"unknown '{path[0]}'{did_you_mean(path[0], known)}"


def _leave_out_misspelt_tasks(
    name: str, dataset: dict[str, Any], *, known: Sequence[str], source: str, faults: ConfigFaults
) -> None:
    """Adds a fault for each task that only exists because a flag misspells the name of a task, and removes it."""
    for task, options in list(_tasks(dataset).items()):
        hint = nearest(task, known)
        if task not in known and hint and isinstance(options, dict) and "task_type" not in options:
            message = f"no such task{hint} (A new task needs a task_type.)"
            faults.add(source, [name, "tasks", task], message)
            del dataset["tasks"][task]
