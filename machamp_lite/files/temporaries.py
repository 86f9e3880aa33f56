"""Temporary files next to their targets, locked by their writers, so that those of killed writers can be removed."""

import contextlib
import errno
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

try:
    import fcntl
except ImportError:
    # Windows does not have it. For mypy, a module cannot be None.
    fcntl = None  # type: ignore[assignment]

# A file or folder that is being written, and a folder that is being replaced.
PART, OLD = ".part", ".old"
# Part of the name of every temporary file, so that no file of the user is mistaken for one.
_MARK = ".machamp_lite-"
_NAME = re.compile(rf"\..*{re.escape(_MARK)}.*-\d+({PART}|{OLD})", re.DOTALL)
# Bytes of the target's name, and characters of the host's, in a temporary name: file systems allow 255 bytes in all.
_MAX_NAME_BYTES = 100
_MAX_HOST_LENGTH = 64


def temporary_file(target: Path) -> AbstractContextManager[Path]:
    """An empty temporary file next to its target, removed at the end of the block if it still exists."""
    return _temporary(target, is_folder=False)


def temporary_folder(target: Path) -> AbstractContextManager[Path]:
    """An empty temporary folder next to its target, removed at the end of the block if it still exists."""
    return _temporary(target, is_folder=True)


@contextlib.contextmanager
def _temporary(target: Path, *, is_folder: bool) -> Iterator[Path]:
    path, lock = _create(target, is_folder=is_folder)
    try:
        yield path
    finally:
        _remove(path)
        os.close(lock)


def is_temporary(path: Path) -> bool:
    """Whether a path has the name of a temporary file or folder of this program."""
    return _NAME.fullmatch(path.name) is not None


def remove_dead_temporaries(folder: str | Path, names: Iterable[str] | None = None) -> None:
    """Removes the temporary files of killed processes from a folder, by default for all targets.

    Files that another process is writing are kept.
    """
    prefixes = (".",) if names is None else tuple(map(_prefix, names))
    with contextlib.suppress(OSError):
        for found in os.scandir(folder):
            path = Path(found.path)
            if found.name.startswith(prefixes) and is_temporary(path) and not found.is_symlink():
                with contextlib.suppress(OSError):
                    _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    lock = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        # A folder that is being replaced has no lock.
        locked = None if path.suffix == OLD else lock_file(lock)
        if locked or (locked is None and _has_dead_writer(path.name)):
            _remove(path)
    finally:
        os.close(lock)


def _create(target: Path, *, is_folder: bool) -> tuple[Path, int]:
    """Creates a temporary file or folder; returns it with the descriptor that holds its lock."""
    prefix, suffix = _prefix(target.name), f"-{_host()}-{os.getpid()}{PART}"
    while True:
        if is_folder:
            name = tempfile.mkdtemp(suffix, prefix, target.parent)
            lock = os.open(name, os.O_RDONLY)
        else:
            lock, name = tempfile.mkstemp(suffix, prefix, target.parent)
        lock_file(lock)
        # Another process may have removed it before it was locked.
        if os.path.exists(name):
            return Path(name), lock
        os.close(lock)


def _prefix(name: str) -> str:
    while len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = name[:-1]
    return f".{name}{_MARK}"


def _host() -> str:
    return re.sub(r"[^\w.]", "_", platform.node())[:_MAX_HOST_LENGTH]


def lock_file(descriptor: int) -> bool | None:
    """Locks an open file until this process ends; False if another has locked it, None if locks are not supported."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _has_dead_writer(name: str) -> bool:
    """Whether the process in a temporary file's name has ended; False for a process of another machine."""
    found = re.search(rf"-{re.escape(_host())}-(\d+)({PART}|{OLD})$", name)
    if found is None:
        return False
    if int(found[1]) == os.getpid():
        # This process is not replacing a folder now, so an earlier one had the same number, as happens in containers.
        return True
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
