"""Error messages for configs, one line each: where, what was found, what was expected, the most similar name."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from machamp_lite.errors import did_you_mean, nearest, shorten

KeyPath = tuple[str, ...]

# The expected value for each type of error that pydantic reports, with placeholders for limits.
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
    "string_pattern_mismatch": "a name in quotes",
    "string_too_short": "a text that is not empty",
    "string_type": "a text in quotes",
    "too_long": "a list of at most {max_length} items",
    "too_short": "a list of {min_length} or more items",
}
_LIMITS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


class ErrorCollector:
    """Collects the error messages of all documents of a config."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        # The flag that has set the value at a location in a document.
        self.flags: dict[tuple[str, KeyPath], str] = {}
        # The older name under which a document, or a flag, has the value at a location.
        self.older_names: dict[tuple[str, KeyPath], KeyPath] = {}
        # One warning for each key of a document that has no effect.
        self.warnings: dict[tuple[str, str], str] = {}

    def set_name(self, source: str, keys: KeyPath, given: KeyPath) -> None:
        """Records the current or older name under which a flag has set the value at a location."""
        self.older_names.pop((source, keys), None)
        if given != keys:
            self.older_names[source, keys] = given

    def at(self, source: str, *keys: str) -> "Location":
        """A location in a document."""
        return Location(self, source, keys)

    def set_flag(self, source: str, keys: KeyPath, flag: str) -> None:
        """Records that a flag has set the value at a location in a document."""
        # The latest flag comes last.
        self.flags.pop((source, keys), None)
        self.flags[(source, keys)] = flag


@dataclass(frozen=True, slots=True)
class Location:
    """A location in a document; messages name it as the user wrote it: the flag, or the older name of a key."""

    errors: ErrorCollector
    source: str
    keys: KeyPath = ()

    def at(self, *keys: str) -> "Location":
        """A location below this one."""
        return Location(self.errors, self.source, (*self.keys, *keys))

    def add(self, message: str) -> None:
        """Adds the message of an error at this location."""
        line = self._line(message)
        if line not in self.errors.lines:
            self.errors.lines.append(line)

    def warn(self, message: str) -> None:
        """Adds a warning about the key at this location, unless the document has one about the same key elsewhere."""
        self.errors.warnings.setdefault((self.source, self.keys[-1]), self._line(message))

    def _line(self, message: str) -> str:
        keys, source = self.keys, self.source
        for (document, prefix), flag in self.errors.flags.items():
            if document == self.source and keys[: len(prefix)] == prefix:
                # No break: a later flag has overridden this one.
                source = flag
        # The longest prefix is the most specific one.
        for (document, prefix), older in sorted(self.errors.older_names.items(), key=lambda item: -len(item[0][1])):
            if document == self.source and keys[: len(prefix)] == prefix:
                keys = (*older, *keys[len(prefix) :])
                break
        shown = " -> ".join(key if key.strip() else f"'{key}'" for key in keys)
        return f"{source}: {shown}: {message}" if keys else f"{source}: {message}"

    def add_validation(self, errors: Iterable[Any], model: type[BaseModel]) -> None:
        """Adds the errors that pydantic found when it validated the value at this location as a ``model``."""
        for error in _without_union_branches(errors):
            self.at(*map(str, error["loc"])).add(_sentence(error, model))

    def add_unknown_keys(self, given: Iterable[str], known: Iterable[str]) -> None:
        """Adds an error for each key that is not known."""
        known = set(known)
        for key in given:
            if key not in known:
                self.at(key).add(f"unknown key{did_you_mean(key, known)}")


def show(value: Any) -> str:
    """A value as the user wrote it, shortened if it is long."""
    try:
        text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except ValueError:
        # Python does not write integers of more than 4300 digits.
        text = "a number with thousands of digits"
    return shorten(text)


def _sibling_keys(model: type[BaseModel], keys: KeyPath) -> Iterable[str]:
    """The known keys of the object with the last key of ``keys``."""
    for key in keys[:-1]:
        annotation = model.model_fields[key].annotation
        # For "Model | None", the model.
        model = next(part for part in (annotation, *get_args(annotation)) if isinstance(part, type))
    return model.model_fields


def _sentence(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(error['loc'][-1]), _sibling_keys(model, error['loc']))}"
    if error["type"] == "missing":
        return "missing, and has no default"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    found = error["input"]
    hint = nearest(found, error["options"]) if isinstance(found, str) else ""
    return f"expected {' or '.join(error['expected'])}, found {show(found)}{hint}"


def _without_union_branches(errors: Iterable[Any]) -> list[dict[str, Any]]:
    """One error per location: pydantic reports one per branch of a union, and adds the branch to the location."""
    merged: dict[KeyPath, dict[str, Any]] = {}
    for error in errors:
        keys = error["loc"]
        if error["type"] != "extra_forbidden":
            keys = tuple(part for part in keys if not _is_branch(part))
        template = _EXPECTED.get(error["type"])
        limits = {key: _plain(limit) for key, limit in error.get("ctx", {}).items()}
        expected = template.format(**limits) if template else error["msg"]
        first = merged.setdefault(keys, {**error, "loc": keys, "expected": [], "options": []})
        if first["type"] in _LIMITS and error["type"].endswith("_type"):
            # The value has the type of the first branch.
            continue
        first["expected"].append(expected)
        if error["type"] == "literal_error":
            first["options"] += re.findall(r"'([^']*)'", expected)
    # If an error is inside a list or object, the user chose that branch: errors of other branches are left out.
    return [
        error
        for keys, error in merged.items()
        if not any(len(other) > len(keys) and other[: len(keys)] == keys for other in merged)
    ]


def _plain(limit: Any) -> Any:
    if not isinstance(limit, float):
        return limit
    return int(limit) if limit.is_integer() and abs(limit) < 1e15 else f"{limit:g}"


def _is_branch(part: Any) -> bool:
    return isinstance(part, str) and (
        part.removeprefix("constrained-") in ("int", "float", "str", "bool", "none") or "[" in part
    )
