"""Translates configs by the tables. Messages name keys as the user wrote them."""

import copy
from collections.abc import Container, Iterable, Iterator
from typing import Any

from machamp_lite.config.error_messages import KeyPath, Location, show
from machamp_lite.config.machamp_compat.tables import (
    DATASET_KEYS,
    METRICS,
    METRICS_OF_TYPES,
    NOTHING,
    OLD_SECTIONS,
    OTHER_METRICS,
    PARAMS_KEYS,
    TASK_KEYS,
    TASK_TYPES,
    Fixed,
    Moved,
    Table,
)
from machamp_lite.config.task_types import BUILT_IN

# The keys of params of any version, besides the current ones.
OLD_PARAMS_KEYS = {pattern.partition(".")[0] for pattern in PARAMS_KEYS}


def is_params(raw: dict[str, Any], current_keys: Iterable[str]) -> bool:
    """Whether a document is params, rather than datasets by name: it has their keys, and no object with tasks."""
    has_tasks = any(isinstance(value, dict) and "tasks" in value for value in raw.values())
    return not has_tasks and not raw.keys().isdisjoint({*current_keys, *OLD_PARAMS_KEYS})


def migrate_params(raw: dict[str, Any], where: Location) -> dict[str, Any]:
    """A copy with the current keys; keys and values without a counterpart are reported."""
    raw = copy.deepcopy(raw)
    _join_betas(raw)
    _migrate(raw, PARAMS_KEYS, where)
    for section in OLD_SECTIONS:
        if section in raw:
            for keys in _leaves(raw.pop(section), (section,)):
                where.at(*keys).add("has no counterpart in machamp_lite, expected no such key")
    decoders = raw.get("decoders")
    for name, entry in decoders.items() if isinstance(decoders, dict) else ():
        if isinstance(entry, dict):
            _migrate(entry, TASK_KEYS, where.at("decoders", name))
            _migrate_metrics(entry, name, where.at("decoders", name))
    return raw


def migrate_dataset(raw: dict[str, Any], where: Location) -> dict[str, Any]:
    """A copy of a dataset with the current keys."""
    raw = copy.deepcopy(raw)
    _migrate(raw, DATASET_KEYS, where)
    tasks = raw.get("tasks")
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        if isinstance(task, dict):
            _migrate_task(task, where.at("tasks", name))
    return raw


def current_value(keys: KeyPath, value: Any, datasets: Container[str]) -> tuple[KeyPath, Any]:
    """The current path and value of a single key of params, or of a dataset or task; the value may be ``NOTHING``.

    What the path does not show, such as the names of metrics, is left to the migration of the whole document.
    """
    if keys[0] not in datasets:
        return _renamed(keys, value, PARAMS_KEYS)
    above, table = (3, TASK_KEYS) if len(keys) > 3 and keys[1] == "tasks" else (1, DATASET_KEYS)
    below, value = _renamed(keys[above:], value, table)
    return (*keys[:above], *below), value


def _renamed(keys: KeyPath, value: Any, table: Table) -> tuple[KeyPath, Any]:
    for pattern, row in table.items():
        old = pattern.split(".")
        if isinstance(row, Moved) and len(old) <= len(keys) and _matches(keys[: len(old)], old):
            converted = row.convert(value) if len(old) == len(keys) else value
            return (*_target(row.to, keys[len(old) - 1]), *keys[len(old) :]), converted
        if len(old) <= len(keys) and _matches(keys[: len(old)], old):
            break
    return keys, value


def _matches(keys: KeyPath, pattern: list[str]) -> bool:
    return all(part in ("*", key) for key, part in zip(keys, pattern, strict=True))


def _target(path: str, last_key: str) -> KeyPath:
    return tuple(last_key if key == "*" else key for key in path.split("."))


def _migrate_task(task: dict[str, Any], where: Location) -> None:
    _migrate(task, TASK_KEYS, where)
    task_type = task.get("task_type")
    if isinstance(task_type, str):
        task_type = task["task_type"] = TASK_TYPES.get(task_type, task_type)
    if task.get("decoder_type") == "crf" and task_type == "seq":
        # The form of 0.1.
        del task["decoder_type"]
        task_type = task["task_type"] = "seq_bio"
    columns = task.get("column_idxs")
    if isinstance(columns, int) or (task_type != "probdistr" and isinstance(columns, list) and len(columns) == 1):
        _put(task, ("column_idx",), columns if isinstance(columns, int) else columns[0], ("column_idxs",), where)
        del task["column_idxs"]
    if isinstance(task_type, str):
        _migrate_metrics(task, task_type, where)


def _migrate_metrics(options: dict[str, Any], task_type: str, where: Location) -> None:
    """Replaces the older names of metrics, which depend on the task type."""
    known = BUILT_IN[task_type].metrics if task_type in BUILT_IN else ()
    names = {old: new for old, new in METRICS.items() if not known or new in known}
    names |= METRICS_OF_TYPES.get(task_type, {})

    def current(key: str, name: Any) -> Any:
        if not isinstance(name, str) or name in known or name not in names:
            return name
        if name in OTHER_METRICS.get(names[name], ()):
            where.at(key).warn(f"'{task_type}' has no metric {show(name)}, {names[name]} is used instead")
        return names[name]

    for key in ("metric", "additional_metrics"):
        value = options.get(key)
        if isinstance(value, list):
            options[key] = [current(key, name) for name in value]
        elif value is not None:
            options[key] = current(key, value)


def _join_betas(raw: dict[str, Any]) -> None:
    """Makes the list ``betas`` of 0.2 from ``b1`` and ``b2`` of 0.1."""
    trainer = raw.get("trainer")
    optimizer = trainer.get("optimizer") if isinstance(trainer, dict) else None
    if isinstance(optimizer, dict) and {"b1", "b2"} <= optimizer.keys() and "betas" not in optimizer:
        optimizer["betas"] = [optimizer.pop("b1"), optimizer.pop("b2")]


def _migrate(raw: dict[str, Any], table: Table, where: Location) -> None:
    """Moves or removes the keys of a table in place."""
    for pattern, row in table.items():
        for keys in list(_find(raw, pattern.split("."))):
            value = _pop(raw, keys)
            if isinstance(row, Moved):
                _move(raw, row, keys, value, where)
            elif row.warning != "" and not any(type(value) is type(same) and value == same for same in row.values):
                _report(row, value, where.at(*keys))


def _move(raw: dict[str, Any], row: Moved, keys: KeyPath, value: Any, where: Location) -> None:
    converted = row.convert(value)
    if converted is NOTHING:
        return
    target = _target(row.to, keys[-1])
    if target == keys:
        _put(raw, target, converted, None, where)
        return
    if row.warning:
        where.at(*keys).warn(row.warning)
    _put(raw, target, converted, keys, where)


def _report(row: Fixed, value: Any, where: Location) -> None:
    if row.warning is not None:
        where.warn(f"has no effect: {row.warning}")
    else:
        where.add(f"{show(value)} is not supported yet, expected {' or '.join(map(show, row.values))}")


def _put(raw: dict[str, Any], target: KeyPath, value: Any, older: KeyPath | None, where: Location) -> None:
    """Sets a value that had an older key; it is an error to have both, or older keys with different values."""
    holder: Any = raw
    for key in target[:-1]:
        holder = holder.setdefault(key, {})
        if not isinstance(holder, dict):
            # Reported when the config is validated.
            return
    names, place = where.errors.older_names, (where.source, (*where.keys, *target))
    present = holder.get(target[-1], NOTHING)
    if isinstance(value, dict) and isinstance(present, dict):
        for inner, item in value.items():
            _put(raw, (*target, inner), item, None if older is None else (*older, inner), where)
        return
    if present is not NOTHING and (place not in names or present != value):
        other = " -> ".join(names.get(place, place[1])[len(where.keys) :])
        reason = " with another value" if place in names else ", its newer name"
        where.at(*(older or target)).add(f"found this and {other}{reason}; expected one of them")
        return
    holder[target[-1]] = value
    if older is not None:
        names.setdefault(place, (*where.keys, *older))


def _find(raw: Any, pattern: list[str], above: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths in nested objects that match a pattern."""
    if not pattern:
        yield above
    elif isinstance(raw, dict):
        for key in [pattern[0]] if pattern[0] != "*" else list(raw):
            if key in raw:
                yield from _find(raw[key], pattern[1:], (*above, key))


def _pop(raw: dict[str, Any], keys: KeyPath) -> Any:
    holder: Any = raw
    for key in keys[:-1]:
        holder = holder[key]
    return holder.pop(keys[-1])


def _leaves(value: Any, above: KeyPath) -> Iterator[KeyPath]:
    """The paths of all values that are not objects."""
    if not isinstance(value, dict):
        yield above
        return
    for key, item in value.items():
        yield from _leaves(item, (*above, key))
