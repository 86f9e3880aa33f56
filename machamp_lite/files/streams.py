"""Pipes, devices and open files such as ``/dev/stdout``, which can be read only once and must not be replaced."""

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from machamp_lite.errors import DataError, OutputError

# Standard input, or standard output.
STANDARD_STREAM = "-"
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_MAX_LINKS = 40

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class SpooledInput(os.PathLike[str]):
    """The temporary copy of a stream; in messages, it has the name of the stream."""

    path: str
    name: str

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.name


@contextlib.contextmanager
def readable(source: AnyPath) -> Iterator[AnyPath]:
    """A file that can be read several times: the source itself, or a temporary copy if it is a stream.

    ``-`` is standard input. Raises ``DataError`` for a stream that cannot be read, ``OutputError`` for a full disk.
    """
    if isinstance(source, SpooledInput) or not (is_standard(source) or is_stream(source)):
        yield source
        return
    name = "standard input" if is_standard(source) else str(source)
    with tempfile.NamedTemporaryFile(prefix="machamp_lite-") as spool:
        try:
            with _open_input(source) as stream:
                shutil.copyfileobj(stream, spool)
            spool.flush()
        except OSError as error:
            if error.errno in DISK_FAULTS:
                folder = os.path.dirname(spool.name)
                raise OutputError(
                    f"{name}: cannot be copied to {folder} ({error.strerror}); set TMPDIR to a folder with more space"
                ) from None
            raise DataError(f"{name}: cannot be read ({error.strerror or error})") from None
        yield SpooledInput(spool.name, name)


def is_standard(path: AnyPath) -> bool:
    """Whether a path is ``-``; a file with that name is ``./-``."""
    return not isinstance(path, SpooledInput) and os.fspath(path) == STANDARD_STREAM


def is_stream(path: AnyPath) -> bool:
    """Whether a path is a pipe, a character device or an open file (``/dev/stdout``)."""
    if descriptor_of(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def descriptor_of(path: AnyPath) -> int | None:
    """The descriptor of an open file that is given as ``/dev/stdout`` or ``/dev/fd/3``; None for other paths."""
    name = os.fspath(path)
    for _ in range(_MAX_LINKS):
        folder, last = os.path.split(name)
        try:
            real = os.path.realpath(folder)
            if last.isdecimal() and re.fullmatch(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd", real):
                return int(last)
            name = os.path.join(folder, os.readlink(name))
        except (OSError, ValueError):
            return None
    return None


@contextlib.contextmanager
def open_standard_output() -> Iterator[TextIO]:
    """Standard output as UTF-8, whatever the terminal's encoding is; raises ``OSError`` if it is closed."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", STANDARD_STREAM)
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        # Standard output was replaced by an object in memory.
        yield sys.stdout
        return
    with _open_copy(descriptor) as file:
        yield file


@contextlib.contextmanager
def open_stream(path: AnyPath) -> Iterator[TextIO]:
    """A text file that writes to a stream."""
    descriptor = descriptor_of(path)
    if descriptor is not None:
        with _open_copy(descriptor) as file:
            yield file
    else:
        # open(path, "w") would create a missing file.
        with open(os.open(path, os.O_WRONLY), "w", encoding="utf-8", newline="") as file:
            yield file


def _open_copy(descriptor: int) -> TextIO:
    """A text file on a copy of a descriptor, which continues at its position."""
    if sys.stdout is not None:
        sys.stdout.flush()
    return open(os.dup(descriptor), "w", encoding="utf-8", newline="")


@contextlib.contextmanager
def _open_input(source: AnyPath) -> Iterator[BinaryIO]:
    if is_standard(source):
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise OSError(errno.EBADF, "it is closed", STANDARD_STREAM)
        yield stream
        return
    descriptor = descriptor_of(source)
    with open(source if descriptor is None else os.dup(descriptor), "rb") as file:
        yield file
