"""Config faults in plain lines: where, what was found, what was expected, the nearest right name."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from machamp_lite.errors import did_you_mean, nearest, shorten

Path = tuple[str, ...]

# What each of pydantic's errors says was expected, with its limits filled in.
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object {{...}}",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "an object {{...}}",
    "string_too_short": "a text that is not empty",
    "string_type": "a text in quotes",
    "too_long": "a list of at most {max_length} items",
    "too_short": "a list of {min_length} or more items",
}


class ConfigFaults:
    """Collects the faults of one run, each at the place where the user wrote what is wrong.

    ``flags`` are the places of documents that a flag has set, ``older_names`` those that a document has under
    an older name.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.flags: dict[tuple[str, Path], str] = {}
        self.older_names: dict[tuple[str, Path], Path] = {}

    def add(self, source: str, path: Sequence[Any], message: str) -> None:
        """Notes a fault at a place of a document."""
        names = tuple(str(part) for part in path)
        for (document, place), older in self.older_names.items():
            if document == source and names[: len(place)] == place:
                names = (*older, *names[len(place) :])
        where = source
        for (document, place), flag in self.flags.items():
            if document == source and names[: len(place)] == place:
                # No break: a later flag has overridden this one.
                where = flag
        shown = " -> ".join(name if name.strip() else f"'{name}'" for name in names)
        line = f"{where}: {shown}: {message}" if names else f"{where}: {message}"
        if line not in self.lines:
            self.lines.append(line)

    def add_flag(self, source: str, path: Path, flag: str) -> None:
        """Notes that a flag has set what stands at a place of a document."""
        self.flags.pop((source, path), None)
        self.flags[(source, path)] = flag

    def add_validation(
        self, source: str, path: Sequence[str], errors: Iterable[Any], model: type[BaseModel]
    ) -> None:
        """Notes what pydantic found when it validated what stands at ``path`` against ``model``."""
        for fault in _without_union_branches(errors):
            self.add(source, [*path, *fault["loc"]], _sentence(fault, model))


def show(value: Any) -> str:
    """A value as the user wrote it, cut if it is long."""
    try:
        text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except ValueError:
        # Python does not write integers of more than 4300 digits.
        text = "a number of thousands of digits"
    return shorten(text)


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
        annotation = model.model_fields[key].annotation
        # Of an object that may be null, the object.
        model = next(part for part in (annotation, *get_args(annotation)) if isinstance(part, type))
    return known_keys(model)


def _sentence(fault: Mapping[str, Any], model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(fault['loc'][-1]), _keys_beside(model, fault['loc']))}"
    if fault["type"] == "missing":
        return "missing, and has no default"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    found = fault["input"]
    hint = nearest(found, fault["options"]) if isinstance(found, str) else ""
    return f"expected {' or '.join(fault['expected'])}, found {show(found)}{hint}"


def _without_union_branches(errors: Iterable[Any]) -> list[dict[str, Any]]:
    """One fault a place: of a union, pydantic tells one a branch, each with the branch's name in its place."""
    merged: dict[Path, dict[str, Any]] = {}
    for error in errors:
        place = error["loc"]
        if error["type"] != "extra_forbidden":
            place = tuple(part for part in place if not _is_branch(part))
        template = _EXPECTED.get(error["type"])
        limits = {key: _plain(limit) for key, limit in error.get("ctx", {}).items()}
        expected = template.format(**limits) if template else error["msg"]
        fault = merged.setdefault(place, {**error, "loc": place, "expected": [], "options": []})
        fault["expected"].append(expected)
        if error["type"] == "literal_error":
            fault["options"] += re.findall(r"'([^']*)'", expected)
    # A branch that fits but for one of its items is the one that was meant.
    return [
        fault
        for place, fault in merged.items()
        if not any(len(other) > len(place) and other[: len(place)] == place for other in merged)
    ]


def _plain(limit: Any) -> Any:
    if not isinstance(limit, float):
        return limit
    return int(limit) if limit.is_integer() and abs(limit) < 1e15 else f"{limit:g}"


def _is_branch(part: Any) -> bool:
    return isinstance(part, str) and (part in ("int", "float", "str", "bool", "none") or "[" in part)
