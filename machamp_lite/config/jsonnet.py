"""Reads JSON and jsonnet files: JSON directly, jsonnet in a process with limits of time and memory."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import _jsonnet

from machamp_lite.config.error_messages import show
from machamp_lite.errors import ConfigError, nearest_file

# The key that names the JSON Schema of a file, for editors.
SCHEMA = "$schema"
# In bytes; enough for the class weights of a million labels.
LARGEST_CONFIG = 2**26
# Limits of evaluating jsonnet: seconds, bytes of memory, and bytes of the resulting JSON.
MOST_SECONDS = 20
MOST_BYTES = 2**30
LARGEST_VALUE = 2**24
# JSON that is nested more deeply is read by jsonnet, which has a limit too.
_MAX_DEPTH = 40
_PROCESS = Path(__file__).with_name("jsonnet_process.py")
_STRING = r'(?P<string>"(?:\\.|[^"\\])*")'
_STRING_OR_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|\#[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING_OR_COMMA = re.compile(rf"{_STRING}|(?<=[\w\"\]}}])\s*,(?=\s*[}}\]])", re.DOTALL)
# The location before jsonnet's messages: file:1:2, file:1:2-3 or file:(1:2)-(3:4).
_LOCATION = r"\S.*?:\(?\d+:\d[\d:()-]*"
# The beginnings of jsonnet's messages; the rest of a message may be content of an imported file.
_MESSAGES = (
    "array bounds error", "binary operator", "division by zero", "duplicate field", "field does not exist",
    "max stack frames exceeded", "overflow", "Unknown variable",
)  # fmt: skip


class _NotPlainError(Exception):
    """Raised for text that is not JSON or has another meaning in jsonnet."""


def read_jsonnet(path: str | Path) -> dict[str, Any]:
    """The object in a JSON or jsonnet file, without the name of its schema.

    Raises ``ConfigError`` with the file and line of an error.
    """
    path = str(path)
    if os.path.isdir(path):
        raise ConfigError(f"{path}: is a folder, expected a file")
    if not os.path.isfile(path):
        raise ConfigError(f"{path or show(path)}: no such file{nearest_file(path)}")
    try:
        if os.path.getsize(path) > LARGEST_CONFIG:
            raise ConfigError(f"{path}: is larger than {LARGEST_CONFIG >> 20} MB, expected a config")
        text = Path(path).read_text(encoding="utf-8-sig")
        if not text.strip():
            raise ConfigError(f"{path}: is empty, expected an object {{...}}")
        value = _evaluate(path, text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        found = f"0x{error.object[error.start]:02x} at byte {error.start + 1}"
        raise ConfigError(f"{path}: found {found}, expected UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path}: found too deeply nested brackets, expected fewer levels") from None
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read as jsonnet ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected an object {{...}}, found {show(value)}")
    return without_schema(value)


def without_schema(document: Mapping[str, Any]) -> dict[str, Any]:
    """An object without the name of its JSON Schema, which is for editors."""
    return {key: value for key, value in document.items() if key != SCHEMA or not isinstance(value, str)}


def _evaluate(path: str, text: str) -> Any:
    try:
        value = json.loads(
            _without_comments(text),
            object_pairs_hook=_object,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_reject_constant,
        )
        _check_plain(value)
    except (_NotPlainError, ValueError, RecursionError):
        return json.loads(_evaluate_in_process(path, text))
    return value


def _without_comments(text: str) -> str:
    """JSON without comments and without commas before closing brackets, so that its keys keep their order."""
    text = _STRING_OR_COMMENT.sub(lambda match: match["string"] or " ", text)
    return _STRING_OR_COMMA.sub(lambda match: match["string"] or "", text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with its keys in the order of the file, unlike jsonnet, which sorts them."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _NotPlainError
    return value


def _number(text: str) -> int | float:
    """A number as in jsonnet, where all numbers are doubles and whole ones are written without a decimal point."""
    value = float(text)
    if not math.isfinite(value):
        raise _NotPlainError
    return int(value) if value.is_integer() else value


def _reject_constant(constant: str) -> NoReturn:
    raise _NotPlainError


def _check_plain(value: Any, max_depth: int = _MAX_DEPTH) -> None:
    if max_depth == 0:
        raise _NotPlainError
    if isinstance(value, str):
        # Raises a ValueError for an unpaired surrogate.
        value.encode()
    elif isinstance(value, dict | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_plain(item, max_depth - 1)


def _evaluate_in_process(path: str, text: str) -> str:
    """The result of evaluating jsonnet in a separate process, as JSON."""
    package = str(Path(_jsonnet.__file__).parent)
    arguments = [package, path, str(MOST_BYTES), str(MOST_SECONDS)]
    try:
        # -I -S: without the user's settings and packages, which would take 50 milliseconds to load.
        finished = subprocess.run(
            [sys.executable, "-I", "-S", str(_PROCESS), *arguments],
            input=text.encode("utf-8", "surrogatepass"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(_too_slow(path)) from None
    if finished.returncode == -getattr(signal, "SIGINT", 2):
        raise KeyboardInterrupt
    if finished.returncode in (-getattr(signal, "SIGXCPU", 24), -getattr(signal, "SIGKILL", 9)):
        raise ConfigError(_too_slow(path))
    try:
        answer = json.loads(finished.stdout)
    except ValueError:
        raise ConfigError(
            f"{path}: cannot be evaluated within {MOST_BYTES >> 20} MB of memory; expected a smaller result"
        ) from None
    if "error" in answer:
        raise ConfigError(_fault(path, answer))
    if len(answer["value"]) > LARGEST_VALUE:
        raise ConfigError(f"{path}: evaluates to more than {LARGEST_VALUE >> 20} MB of JSON, expected less")
    return str(answer["value"])


def _too_slow(path: str) -> str:
    return f"{path}: takes more than {MOST_SECONDS} seconds to evaluate, expected less; look for endless recursion"


def _fault(path: str, answer: Mapping[str, Any]) -> str:
    """Jsonnet's error in one line: the innermost location in its stack, and the message.

    If files were imported, only the fixed part of the message is kept: the rest could be content of these files.
    """
    first, *stack = answer["error"].strip().splitlines() or [""]
    imported = answer["imported"]
    if first.startswith("STATIC ERROR: "):
        first = first.removeprefix("STATIC ERROR: ").rstrip(".")
        location = re.match(f"({_LOCATION}): ", first)
        if location:
            what = first[location.end() :]
            what = _fixed_part(what, "syntax error") if imported else what
            return f"{location[1]}: is not valid jsonnet: {what}"
        return first
    locations = (re.match(_LOCATION, line.strip()) for line in stack)
    where = next((match.group() for match in locations if match), path)
    what = first.removeprefix("RUNTIME ERROR: ").rstrip(".")
    return (
        f"{where}: {answer.get('refused') or (_fixed_part(what, 'cannot be evaluated') if imported else what)}"
    )


def _fixed_part(message: str, default: str) -> str:
    return next((beginning for beginning in _MESSAGES if message.startswith(beginning)), default)
