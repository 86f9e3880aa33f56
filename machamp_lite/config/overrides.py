"""Values that override others: of nested dictionaries, and of the flag ``--set``."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from machamp_lite.config.error_messages import ErrorCollector
from machamp_lite.config.jsonnet_process import complete_numbers
from machamp_lite.config.machamp_compat import NOTHING, OLD_PARAMS_KEYS, current_value
from machamp_lite.config.schema import Params
from machamp_lite.errors import ConfigError, did_you_mean, nearest, shorten

# No config is nested more deeply.
MAX_DEPTH = 20
LONGEST_FLAG = 120


@dataclass(frozen=True, slots=True)
class Documents:
    """A config as the user wrote it: params, datasets by name, and the file that each is from."""

    params: dict[str, Any]
    params_source: str
    datasets: dict[str, dict[str, Any]]
    sources: dict[str, str]


def deep_merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """A dictionary whose values are overridden by those of another one, key by key and at every depth."""
    result = dict(base)
    for key, value in top.items():
        below = result.get(key)
        result[key] = deep_merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def apply_overrides(
    documents: Documents, overrides: Sequence[str], *, params_keys: Iterable[str], errors: ErrorCollector
) -> None:
    """Sets the value of each ``KEY=VALUE`` in the dataset that its first key names, or else in params."""
    # The keys of a file that could not be read are unknown.
    are_complete = not errors.lines
    known_params = {*params_keys, *OLD_PARAMS_KEYS}
    known_tasks = {name: list(_tasks(dataset)) for name, dataset in documents.datasets.items()}
    for text in overrides:
        flag = f"--set {shorten(text, LONGEST_FLAG)}"
        try:
            given, value = parse_override(text, documents.datasets)
            keys, value = current_value(given, value, documents.datasets)
            if keys[0] in documents.datasets:
                if len(keys) == 1:
                    raise ConfigError("names a whole dataset, expected one of its keys")
                source, document = documents.sources[keys[0]], documents.datasets
            elif keys[0] in known_params:
                source, document = documents.params_source, documents.params
            else:
                if are_complete:
                    raise ConfigError(_unknown_key(keys, [*documents.datasets, *params_keys]))
                continue
            if value is NOTHING:
                continue
            errors.set_flag(source, _set(document, keys, value), flag)
            errors.set_name(source, keys, given)
        except ConfigError as error:
            errors.at(flag).add(str(error))
    for name, known in known_tasks.items():
        _remove_misspelt_tasks(name, documents, known, errors)


def parse_override(text: str, datasets: Iterable[str]) -> tuple[tuple[str, ...], Any]:
    """The keys and the value of ``a.b=value``; the value is JSON or else a string. A dataset's name may have dots."""
    key, equals, value = text.partition("=")
    if not equals or not key or "" in key.split(".") or key.count(".") > MAX_DEPTH:
        raise ConfigError("expected KEY=VALUE, for example training.num_epochs=3")
    try:
        parsed = json.loads(complete_numbers(value))
    except (ValueError, RecursionError):
        parsed = value
    for name in sorted(datasets, key=len, reverse=True):
        if key == name or key.startswith(f"{name}."):
            return (name, *filter(None, key[len(name) :].split("."))), parsed
    return tuple(key.split(".")), parsed


def _set(document: dict[str, Any], keys: tuple[str, ...], value: Any) -> tuple[str, ...]:
    """Sets a value and creates the objects on the way; returns the keys of the outermost new value.

    Raises ``ConfigError`` if a value on the way is not an object.
    """
    new = len(keys)
    for depth, key in enumerate(keys[:-1], start=1):
        if key not in document:
            new = min(new, depth)
        document = document.setdefault(key, {})
        if not isinstance(document, dict):
            raise ConfigError(f"'{key}' is not an object, so nothing below it can be set")
    document[keys[-1]] = value
    return keys[:new]


def _unknown_key(keys: Sequence[str], known: Sequence[str]) -> str:
    """The message about a first key that is not known; it may be a dataset's name with dots."""
    full = sorted(".".join(path) for path in _nested_keys(Params) if path[-len(keys) :] == tuple(keys))
    if full:
        return f"unknown '{'.'.join(keys)}'; did you mean '{full[0]}'?"
    for end in range(1, len(keys) + 1):
        name = ".".join(keys[:end])
        if hint := nearest(name, known):
            return f"unknown '{name}'{hint}"
    return f"unknown '{keys[0]}'{did_you_mean(keys[0], known)}"


def _nested_keys(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The keys of a model and of the models in it, each with the keys above it."""
    for key, field in model.model_fields.items():
        yield (key,)
        # Of "Model | None", the model.
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from ((key, *below) for below in _nested_keys(part))


def _tasks(dataset: Mapping[str, Any]) -> dict[str, Any]:
    tasks = dataset.get("tasks")
    return tasks if isinstance(tasks, dict) else {}


def _remove_misspelt_tasks(
    dataset: str, documents: Documents, known: Sequence[str], errors: ErrorCollector
) -> None:
    """Removes tasks that only exist because a flag misspells the name of a task, with an error for each."""
    tasks = _tasks(documents.datasets[dataset])
    for task, options in list(tasks.items()):
        hint = nearest(task, known)
        if task not in known and hint and isinstance(options, dict) and "task_type" not in options:
            message = f"no such task{hint} (A new task needs a task_type.)"
            errors.at(documents.sources[dataset], dataset, "tasks", task).add(message)
            del tasks[task]
