"""Errors in the user's input, and helpers for their messages."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

# One screen. The faults of one file take one line less, because another line says how many there are.
LINES_SHOWN = 20
FAULTS_SHOWN = LINES_SHOWN - 1
LINE_NUMBERS_SHOWN = 3
LONGEST_REASON = 300
# FILE:LINE: at the start of a fault; the file's name may contain colons.
_LINE_NUMBER = re.compile(r"(.*?):(\d+)(?=: )", re.DOTALL)
# The value that a fault is about, and the length of its sentence.
_VALUE = re.compile(r"(?<=: found )(the \w+ )?'[^']*'|(?<= )\(\d+ words\)")
# torch raises a plain RuntimeError if memory cannot be allocated on the CPU or in a library of NVIDIA.
_OUT_OF_MEMORY = re.compile(
    r"DefaultCPUAllocator: (can't allocate|not enough) memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
)
LONGEST_VALUE = 60
ITEMS_SHOWN = 5


class MachampError(Exception):
    """An error in the user's input: one line for each fault.

    Each line of ``faults`` has the form WHERE: what was found, what is expected or how to fix it.

    >>> import machamp_lite
    >>> try:
    ...     machamp_lite.load_config("missing.json")
    ... except machamp_lite.MachampError as error:
    ...     print(error.faults)
    ['missing.json: no such file']
    """

    def __init__(self, faults: str | Iterable[str]) -> None:
        self.faults = [one_line(fault) for fault in ([faults] if isinstance(faults, str) else faults)]
        super().__init__("\n".join(self.faults))


class ConfigError(MachampError):
    """An error in a config, a flag or a model folder.

    >>> import machamp_lite
    >>> machamp_lite.load("nowhere")
    Traceback (most recent call last):
    machamp_lite.errors.ConfigError: nowhere: found no such folder, expected a run folder or its model folder ...
    """


class DataError(MachampError):
    """An error in a data file, or in an input of a prediction.

    >>> from machamp_lite.api.sentences import check_input
    >>> check_input(3, number=1)
    Traceback (most recent call last):
    machamp_lite.errors.DataError: input 1: found 3 of type int, expected a text (str), or words or the texts of ...
    """


class TrainingError(MachampError):
    """Training cannot continue, for example because a loss is NaN."""


class OutputError(MachampError):
    """An output cannot be written, for example because the disk is full."""


class StoppedError(MachampError):
    """Training was stopped by a signal, and has saved its state."""


class LostProcessError(TrainingError):
    """Another process of the run has ended or cannot be reached."""


class FaultList:
    """Collects the faults of one file. Faults that differ only in their lines and in the value found are one kind.

    The first 19 kinds are kept; all faults are counted.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kinds: dict[tuple[str, str], _FaultKind] = {}

    def add(self, fault: str) -> None:
        """Adds one fault."""
        self.count += 1
        found = _LINE_NUMBER.match(fault)
        key, line = ((found[1], _VALUE.sub("", fault[found.end() :])), found[2]) if found else ((fault, ""), "")
        if (kind := self._kinds.get(key)) is not None:
            kind.add(line)
        elif len(self._kinds) < FAULTS_SHOWN:
            self._kinds[key] = _FaultKind(fault)

    def lines(self, path: str) -> list[str]:
        """The first fault of each kind with the number of others; the last line says if there are more kinds."""
        lines = [str(kind) for kind in self._kinds.values()]
        if self.count == sum(kind.count for kind in self._kinds.values()):
            return lines
        return [*lines, f"{path}: {self.count} faults in all; the first {len(lines)} kinds are listed"]


@dataclass(slots=True)
class _FaultKind:
    """The first of several faults of one kind, and the next line numbers."""

    first: str
    count: int = 1
    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.count += 1
        if len(self.lines) < LINE_NUMBERS_SHOWN:
            self.lines.append(line)

    def __str__(self) -> str:
        others = self.count - 1
        if not others:
            return self.first
        numbers = [number for number in self.lines if number]
        where = f": {', '.join(numbers)}{', ...' * (len(numbers) < others)}" if numbers else ""
        return f"{self.first} (and {counted(others, 'more line')} like it{where})"


def missing_packages_line(where: str, names: Sequence[str], *, extra: str) -> str:
    """The line of an error about packages that are not installed, with the extra that installs them.

    >>> missing_packages_line("serve", ["starlette", "uvicorn"], extra="serve")
    "serve: found no package starlette or uvicorn; run pip install 'machamp_lite[serve]'"
    """
    return f"{where}: found no package {' or '.join(names)}; run pip install 'machamp_lite[{extra}]'"


def check_empty_names(names: Mapping[str, Any]) -> None:
    """Raises ``ConfigError`` with a line for each name (by the flag that gives it) that is empty or blank."""
    empty = [flag for flag, name in names.items() if isinstance(name, str) and not name.strip()]
    if empty:
        raise ConfigError(f"{flag}: found the empty name {names[flag]!r}, expected a name" for flag in empty)


def shorten(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text, cut to at most ``longest`` characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def one_line(text: str) -> str:
    """A text with escapes instead of line breaks and other characters that cannot be printed."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shown_label(label: str) -> str:
    """A label as it is printed in messages and tables: in quotes if it is empty or has spaces.

    >>> shown_label("NOUN"), shown_label("O "), shown_label("")
    ('NOUN', "'O '", "''")
    """
    label = one_line(label)
    return f"'{label}'" if not label or " " in label else label


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "sentence"), counted(2, "sentence")
    ('1 sentence', '2 sentences')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def first_items(items: Sequence[str], *, most: int = ITEMS_SHOWN, separator: str = ", ") -> str:
    """The first items, and the number of others."""
    shown = separator.join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def is_panic(error: BaseException) -> bool:
    """Whether an error is a panic of a library in Rust, which is not an ``Exception``."""
    return type(error).__name__ == "PanicException"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory could not be allocated, on the host or on a GPU."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    is_gpu_error = torch is not None and isinstance(error, torch.OutOfMemoryError)
    return is_gpu_error or (isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error))))


def first_line(error: BaseException) -> str:
    """The class and the first line of an error of a library, for use in another message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return one_line(f"{type(error).__name__}: {lines[0].rstrip('.')[:LONGEST_REASON]}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message that suggests the most similar known name; empty if none is similar."""
    options = sorted(known)
    # The second attempt ignores case.
    folded = {option.casefold(): option for option in reversed(options)}
    similar = get_close_matches(name, options, n=1, cutoff=0.6) or [
        folded[key] for key in get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    ]
    return f"; did you mean '{similar[0]}'?" if similar else ""


def nearest_file(path: str) -> str:
    """The end of an error message that suggests the file with the most similar name in the same folder."""
    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except (OSError, ValueError):
        return f"; the folder {folder} does not exist either"
    # A common suffix is no similarity: dev.conllu is not meant by test.conllu.
    stem = os.path.splitext(name)[0]
    names = [other for other in names if get_close_matches(stem, [os.path.splitext(other)[0]], cutoff=0.6)]
    similar = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{os.path.join(folder, similar[0])}'?" if similar else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message that suggests the most similar known name, or else lists the known names."""
    options = sorted(known)
    listed = f"; known: {', '.join(options)}" if 0 < len(options) <= 30 else ""
    return nearest(name, options) or listed
