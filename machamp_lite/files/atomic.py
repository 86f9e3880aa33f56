"""Atomic writes: writes a temporary file next to the target, flushes it to disk and renames it."""

import contextlib
import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from machamp_lite.files.streams import is_standard, is_stream, open_standard_output, open_stream
from machamp_lite.files.temporaries import OLD, remove_dead_temporaries, temporary_file, temporary_folder


@contextlib.contextmanager
def open_output(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Like ``replacing_file``; ``-`` is standard output."""
    if is_standard(path):
        with _naming(Path(path), Path(path)), open_standard_output() as file:
            yield file
    else:
        with replacing_file(Path(path)) as file:
            yield file


@contextlib.contextmanager
def replacing_file(path: str | Path) -> Iterator[TextIO]:
    """A text file that replaces ``path`` when the block ends; after an error it is removed.

    Pipes and devices are written to, not replaced.
    """
    path = Path(path)
    if is_stream(path):
        with _naming(path, path), open_stream(path) as file:
            yield file
        return
    with (
        _replacing(path, in_folder=False) as temporary,
        # newline="": line ends are not changed.
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        yield file


@contextlib.contextmanager
def replacing_path(path: str | Path) -> Iterator[Path]:
    """Like ``replacing_file``, for writers that need the path of an empty file."""
    with _replacing(Path(path), in_folder=True) as temporary:
        yield temporary


@contextlib.contextmanager
def _replacing(path: Path, *, in_folder: bool) -> Iterator[Path]:
    """A temporary file that replaces ``path`` when the block ends without an error.

    ``in_folder`` creates it in a temporary folder, for writers that create further files next to it. If ``path`` is a
    symbolic link, its target is replaced. The new file gets the permissions of the replaced one, and its owner if
    possible. Raises ``OSError`` for a read-only file.
    """
    with _naming(path), contextlib.ExitStack() as stack:
        target = _behind_links(path)
        previous = _replaceable(target)
        remove_dead_temporaries(target.parent, [target.name])
        if in_folder:
            temporary = stack.enter_context(temporary_folder(target)) / target.name
            temporary.touch(mode=0o600)
        else:
            temporary = stack.enter_context(temporary_file(target))
        cleanup = stack.pop_all()
    with cleanup, _naming(path, temporary):
        yield temporary
        _set_permissions(temporary, previous)
        _flush(temporary)
        os.replace(temporary, target)
        _flush(target.parent)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder that replaces ``path`` when the block ends without an error."""
    path = Path(path)
    with _naming(path), contextlib.ExitStack() as stack:
        temporary = stack.enter_context(temporary_folder(path))
        cleanup = stack.pop_all()
    old = temporary.with_suffix(OLD)
    with cleanup, _naming(path, temporary):
        try:
            yield temporary
            os.chmod(temporary, 0o777 & ~_umask())
            for written in temporary.rglob("*"):
                _flush(written)
            if path.exists():
                os.rename(path, old)
            os.rename(temporary, path)
            _flush(path.parent)
        except BaseException:
            if old.exists() and not path.exists():
                os.rename(old, path)
            raise
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: str | Path, value: Any) -> None:
    """Writes indented JSON with a line end."""
    with replacing_file(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def is_read_only(path: str | os.PathLike[str]) -> bool:
    """Whether a file has no write permission for this user, even for root, who could write to it nevertheless."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    is_owner = hasattr(os, "geteuid") and found.st_uid == os.geteuid()
    writable = found.st_mode & (stat.S_IWUSR if is_owner else 0o222)
    return not writable or not os.access(path, os.W_OK)


def _behind_links(path: Path) -> Path:
    """The target of a symbolic link, which may not exist; raises ``OSError`` for a cycle of links."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _replaceable(target: Path) -> os.stat_result | None:
    """The status of the file to replace; None for a new one. Raises ``OSError`` if it must not be replaced."""
    try:
        previous = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(previous.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(previous.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(target))
    if is_read_only(target):
        raise PermissionError(errno.EACCES, "it is read-only", str(target))
    return previous


def _set_permissions(temporary: Path, previous: os.stat_result | None) -> None:
    """Gives a file the permissions and the owner of the previous one; without one, the default permissions."""
    if previous is None:
        os.chmod(temporary, 0o666 & ~_umask())
        return
    if hasattr(os, "chown"):
        for owner, group in ((-1, previous.st_gid), (previous.st_uid, -1)):
            # Only root may change the owner.
            with contextlib.suppress(OSError):
                os.chown(temporary, owner, group)
    os.chmod(temporary, stat.S_IMODE(previous.st_mode))


@contextlib.contextmanager
def _naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Replaces the name of the temporary file in system errors with that of the target."""
    try:
        yield
    except OSError as error:
        # Only errors of the system have a number.
        is_temporary = error.filename is None or str(error.filename).startswith(str(temporary))
        if error.errno is not None and (temporary is None or is_temporary):
            # Python chooses the class by the number, such as BrokenPipeError if the reader has closed a pipe.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    except Exception as error:
        # safetensors, which is written in Rust, gives the number of a system error only in its message.
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None


def _flush(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to disk, so that a power failure after a rename loses nothing."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems do not support it for folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
