"""Evaluates jsonnet in a process that ``jsonnet.py`` starts, with limits on time, memory and imported files.

The arguments are the folder of the jsonnet package, the config's path, and limits in bytes and seconds. The text is
read from standard input; the answer is one JSON object on standard output.
"""

import json
import os
import re
import signal
import stat
import sys

LARGEST_IMPORT = 2**24
# Tokens of jsonnet that may contain what looks like a number, and numbers that begin or end with a point.
_TOKENS = re.compile(
    r"""
    "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | @"[^"]*" | @'[^']*'                               # strings
  | \|\|\|-?[ \t\r]*\n (?:[ \t\r]*\n)* (?P<indent>[ \t]+)[^\n]*\n (?:(?P=indent)[^\n]*\n|[ \t\r]*\n)* [ \t]*\|\|\|
  | //[^\n]* | \#[^\n]* | /\*.*?\*/                                                             # comments
  | [A-Za-z_]\w*
  | (?:(?<=[\s:,\[(])[ ])?(?<![\w.)\]}])(?P<leading>\.\d+(?:[eE][+-]?\d+)?)(?![\w.])
  | (?<![\w.])(?P<whole>\d+)\.(?P<exponent>(?:[eE][+-]?\d+)?)(?![\w.])
  | \d[\d.]*(?:[eE][+-]?\d+)?
    """,
    re.VERBOSE | re.DOTALL,
)
_TEXT_IMPORT = re.compile(r"\bimport(?:str|bin)\s*@?(['\"])(.*?)\1")
_MAY_NEED_DIGITS = re.compile(r"(?<![\w.])\.\d|\d\.(?!\d)")


def complete_numbers(text: str) -> str:
    """The same JSON or jsonnet with ``0.5`` for ``.5`` and ``5`` for ``5.``, which jsonnet does not read.

    No line moves; within a line, columns stay the same if there is a space before the point.
    """
    return _TOKENS.sub(_complete, text) if _MAY_NEED_DIGITS.search(text) else text


def _complete(token: re.Match[str]) -> str:
    if token["leading"]:
        return f"0{token['leading']}"
    if token["whole"]:
        return f"{token['whole']}{token['exponent']} "
    return token.group()


def main(package: str, path: str, most_bytes: int, most_seconds: int) -> None:
    """Writes ``value``, the JSON text of the result, or ``error``.

    ``imported`` says whether files were imported, and ``refused`` which import was not possible.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # Python's handler would wait until jsonnet has finished.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    text = sys.stdin.buffer.read().decode("utf-8")
    sys.path.append(package)
    import _jsonnet

    _limit(most_bytes, most_seconds)
    answer: dict[str, object] = {"imported": False}
    root = os.path.realpath(os.path.dirname(path) or ".")
    # Files that are imported as texts are not changed.
    texts = {match[2] for match in _TEXT_IMPORT.finditer(text)}

    def read_import(folder: str, name: str) -> tuple[str, bytes]:
        answer["imported"] = True
        found = os.path.join(folder, name)
        try:
            if not _is_below(root, os.path.realpath(found)):
                raise ValueError("it is outside the folder of the config; move it there")
            with open(found, "rb", opener=_open_file) as file:
                content = file.read(LARGEST_IMPORT + 1)
            if len(content) > LARGEST_IMPORT:
                raise ValueError(f"it is larger than {LARGEST_IMPORT >> 20} MB")
            if name in texts:
                return found, content
            code = content.decode("utf-8", "surrogateescape")
            texts.update(match[2] for match in _TEXT_IMPORT.finditer(code))
            return found, complete_numbers(code).encode("utf-8", "surrogateescape")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            answer["refused"] = f"cannot import '{name}': {reason}"
            raise

    try:
        answer["value"] = _jsonnet.evaluate_snippet(path, complete_numbers(text), import_callback=read_import)
    except (RuntimeError, ValueError) as error:
        answer["error"] = str(error)
    sys.stdout.buffer.write(json.dumps(answer).encode())


def _is_below(root: str, path: str) -> bool:
    return os.path.commonpath([root, path]) == root


def _open_file(path: str, flags: int) -> int:
    """Opens a regular file, without waiting for pipes."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a file")
    return descriptor


def _limit(most_bytes: int, most_seconds: int) -> None:
    try:
        import resource
    except ImportError:
        # Windows has no such limits; only the timeout of the parent applies there.
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (most_seconds, most_seconds))
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard > most_bytes:
            resource.setrlimit(kind, (most_bytes, most_bytes))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
