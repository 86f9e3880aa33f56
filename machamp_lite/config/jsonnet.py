"""Values of JSON and jsonnet texts: JSON is read here, jsonnet is evaluated in a process with limits."""

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import _jsonnet

from machamp_lite.errors import ConfigError

MOST_SECONDS = 20
MOST_BYTES = 2**30
# In bytes of JSON.
LARGEST_VALUE = 2**24
# More nested JSON is left to jsonnet, which has a limit of its own.
_DEEPEST = 40
_PROCESS = Path(__file__).with_name("jsonnet_process.py")
# What jsonnet puts before a message: file:1:2, file:1:2-3 or file:(1:2)-(3:4).
_PLACE = r"\S.*?:\(?\d+:\d[\d:()-]*"
# How jsonnet's own messages begin; the rest of a message may be content of an imported file.
_MESSAGES = (
    "array bounds error", "binary operator", "division by zero", "duplicate field", "field does not exist",
    "max stack frames exceeded", "overflow", "Unknown variable",
)  # fmt: skip


class _NotPlainError(Exception):
    """Raised for text that is not JSON, or that jsonnet reads differently."""


def evaluate(path: str, text: str) -> Any:
    """The value of a config's text, as jsonnet reads it; raises ``ConfigError`` with the place of a fault."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_refuse,
        )
        return _checked(value, _DEEPEST)
    except (_NotPlainError, ValueError, RecursionError):
        return json.loads(_evaluate_in_process(path, text))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with its keys in the order in which jsonnet puts them."""
    value = dict(sorted(pairs, key=lambda pair: pair[0]))
    if len(value) < len(pairs):
        raise _NotPlainError
    return value


def _number(text: str) -> int | float:
    """A number as jsonnet has it: all are doubles, and whole ones have no decimal point."""
    value = float(text)
    if not math.isfinite(value):
        raise _NotPlainError
    return int(value) if value.is_integer() else value


def _refuse(constant: str) -> NoReturn:
    raise _NotPlainError


def _checked(value: Any, deepest: int) -> Any:
    if deepest == 0:
        raise _NotPlainError
    if isinstance(value, dict):
        for key, item in value.items():
            _checked(key, deepest)
            _checked(item, deepest - 1)
    elif isinstance(value, list):
        for item in value:
            _checked(item, deepest - 1)
    elif isinstance(value, str):
        # Raises a ValueError for an unpaired surrogate.
        value.encode()
    return value


def _evaluate_in_process(path: str, text: str) -> str:
    """The JSON that jsonnet makes of a text, in a separate process."""
    package = str(Path(_jsonnet.__file__).parent)
    arguments = [package, path, str(MOST_BYTES), str(MOST_SECONDS)]
    try:
        # -I -S: without the user's settings and packages, which takes about 50 milliseconds.
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_PROCESS), *arguments],
            input=text.encode("utf-8", "surrogatepass"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(_too_slow(path)) from None
    if done.returncode == -getattr(signal, "SIGINT", 2):
        raise KeyboardInterrupt
    if done.returncode in (-getattr(signal, "SIGXCPU", 24), -getattr(signal, "SIGKILL", 9)):
        raise ConfigError(_too_slow(path))
    try:
        answer = json.loads(done.stdout)
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
    """Jsonnet's error in one line: the message, and the innermost place of its stack.

    If files were imported, only jsonnet's own words are kept: the rest could be content of these files.
    """
    first, *stack = answer["error"].strip().splitlines() or [""]
    imported = answer["imported"]
    if first.startswith("STATIC ERROR: "):
        first = first.removeprefix("STATIC ERROR: ").rstrip(".")
        place = re.match(f"({_PLACE}): ", first)
        if imported and place:
            first = f"{place[1]}: {_own_words(first[place.end() :], 'syntax error')}"
        return f"{first} (expected jsonnet)"
    places = (re.match(_PLACE, line.strip()) for line in stack)
    where = next((match.group() for match in places if match), path)
    what = first.removeprefix("RUNTIME ERROR: ").rstrip(".")
    return (
        f"{where}: {answer.get('refused') or (_own_words(what, 'cannot be evaluated') if imported else what)}"
    )


def _own_words(message: str, default: str) -> str:
    return next((words for words in _MESSAGES if message.startswith(words)), default)
