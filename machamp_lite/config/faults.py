"""Config faults in plain lines: where, what was found, what was expected, the nearest right name."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from machamp_lite.errors import did_you_mean

Path = tuple[str, ...]


class ConfigFaults:
    """Collects the faults of one run, each under the file or the ``--set`` that it comes from."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.overrides: dict[tuple[str, Path], str] = {}

    def add(self, source: str, path: Sequence[Any], message: str) -> None:
        """Notes a fault at a place of a document."""
        names = tuple(str(part) for part in path)
        for (document, overridden), flag in self.overrides.items():
            if document == source and names[: len(overridden)] == overridden:
                source = flag
        line = f"{source}: {' -> '.join(names)}: {message}" if names else f"{source}: {message}"
        if line not in self.lines:
            self.lines.append(line)

    def add_validation(
        self, source: str, path: Sequence[str], errors: Sequence[Any], model: type[BaseModel]
    ) -> None:
        """Notes what pydantic found when it validated what stands at ``path`` against ``model``."""
        for fault in _without_union_branches(errors):
            self.add(source, [*path, *fault["loc"]], _sentence(fault, _keys_beside(model, fault["loc"])))


def show(value: Any) -> str:
    """A value as the user wrote it."""
    return f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)


def known_keys(model: type[BaseModel]) -> list[str]:
    """The keys that a part of a config may have."""
    return list(model.model_fields)


def unknown_keys(
    faults: ConfigFaults, source: str, path: Sequence[str], given: Mapping[str, Any], known: Iterable[str]
) -> None:
    """Notes each key that is not known."""
    known = set(known)
    for key in given:
        if key not in known:
            faults.add(source, [*path, key], f"unknown key{did_you_mean(key, known)}")


def _keys_beside(model: type[BaseModel], place: Path) -> list[str]:
    """The known keys of the object in which ``place`` stands."""
    for key in place[:-1]:
        field = model.model_fields.get(key)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return []
        model = field.annotation
    return known_keys(model)


def _sentence(fault: Mapping[str, Any], keys: Iterable[str]) -> str:
    found = show(fault["input"])
    if fault["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(fault['loc'][-1]), keys)}"
    if fault["type"] == "missing":
        return "missing, and has no default"
    message = fault["msg"]
    for start in ("Input should be ", "Value error, "):
        message = message.removeprefix(start)
    message = message.replace("Value should have", "a list of").replace("List should have", "a list with")
    if message.startswith(("greater", "less")):
        message = f"a number {message}"
    found = found if len(found) <= 60 else found[:57] + "..."
    return f"expected {message.removeprefix('expected ')}, found {found}"


def _without_union_branches(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """One fault a place: of a union, pydantic tells one a branch, each with the branch's name in its place."""
    merged: dict[Path, dict[str, Any]] = {}
    for error in errors:
        place = tuple(part for part in error["loc"] if not _is_branch(part))
        fault = {**error, "loc": place}
        if place in merged:
            expected = str(fault["msg"]).removeprefix("Input should be ")
            merged[place]["msg"] += f" or {expected}"
        else:
            merged[place] = fault
    return list(merged.values())


def _is_branch(part: Any) -> bool:
    return isinstance(part, str) and (part in ("int", "float", "str", "bool", "none") or "[" in part)
