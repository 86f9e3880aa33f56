"""Atomic writes: a file is written beside its place, flushed to the disk, and renamed; streams are written directly."""

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
from machamp_lite.files.temporaries import OLD, remove_dead_temporaries, temporary_beside, temporary_folder


@contextlib.contextmanager
def open_output(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """As ``replacing_file``; ``-`` is standard output."""
    if is_standard(path):
        with _naming(Path(path), Path(path)), open_standard_output() as file:
            yield file
    else:
        with replacing_file(Path(path)) as file:
            yield file


@contextlib.contextmanager
def replacing_file(path: str | Path) -> Iterator[TextIO]:
    """A text file that replaces ``path`` when the block ends well, and leaves no trace otherwise.

    A pipe or a device is not replaced: what is written goes to it directly.
    """
    path = Path(path)
    if is_stream(path):
        with _naming(path, path), open_stream(path) as file:
            yield file
        return
    with (
        _replacing(path, in_folder=False) as temporary,
        # newline="": what is written is written, line ends too.
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        yield file


@contextlib.contextmanager
def replacing_path(path: str | Path) -> Iterator[Path]:
    """The path of an empty file, for writers that need one; as ``replacing_file``."""
    with _replacing(Path(path), in_folder=True) as temporary:
        yield temporary


@contextlib.contextmanager
def _replacing(path: Path, *, in_folder: bool) -> Iterator[Path]:
    """The temporary file that replaces ``path`` when the block ends well.

    A symbolic link stays: the file that it leads to is replaced. The new file has the permissions of the replaced one,
    and its owner where that is allowed. Raises ``OSError`` for a read-only file.
    """
    with _naming(path), contextlib.ExitStack() as stack:
        target = _behind_links(path)
        init_model = _replaceable(target)
        remove_dead_temporaries(target.parent, [target.name])
        temporary = stack.enter_context(temporary_beside(target, in_folder=in_folder))
        ended = stack.pop_all()
    with ended, _naming(path, temporary):
        yield temporary
        _set_permissions(temporary, init_model)
        _flush(temporary)
        os.replace(temporary, target)
        _flush(target.parent)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``path`` when the block ends well."""
    path = Path(path)
    with _naming(path), contextlib.ExitStack() as stack:
        temporary = stack.enter_context(temporary_folder(path))
        ended = stack.pop_all()
    old = temporary.with_suffix(OLD)
    with ended, _naming(path, temporary):
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
    """Writes JSON, indented, with a line end."""
    with replacing_file(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def is_read_only(path: str | os.PathLike[str]) -> bool:
    """Whether an existing file has no write permission for this user; for root too, who may write to any file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    is_owner = hasattr(os, "geteuid") and found.st_uid == os.geteuid()
    writable = found.st_mode & (stat.S_IWUSR if is_owner else 0o222)
    return not writable or not os.access(path, os.W_OK)


def _behind_links(path: Path) -> Path:
    """The file that a symbolic link leads to, whether it exists or not; raises ``OSError`` for links in a circle."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _replaceable(target: Path) -> os.stat_result | None:
    """The state of the file to be replaced, None for a new one; raises ``OSError`` for what must not be replaced."""
    try:
        init_model = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(init_model.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(init_model.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(target))
    if is_read_only(target):
        raise PermissionError(errno.EACCES, "it is read-only", str(target))
    return init_model


def _set_permissions(temporary: Path, init_model: os.stat_result | None) -> None:
    """Gives a new file the usual permissions, and one that replaces another those of the other, and its owner."""
    if init_model is None:
        os.chmod(temporary, 0o666 & ~_umask())
        return
    if hasattr(os, "chown"):
        for owner, group in ((-1, init_model.st_gid), (init_model.st_uid, -1)):
            # Only root may give files away.
            with contextlib.suppress(OSError):
                os.chown(temporary, owner, group)
    os.chmod(temporary, stat.S_IMODE(init_model.st_mode))


@contextlib.contextmanager
def _naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Errors of the system name the file that was to be written, not its temporary one, and no other file."""
    try:
        yield
    except OSError as error:
        # One without a number does not come from the system.
        is_own = error.filename is None or str(error.filename).startswith(str(temporary))
        if error.errno is not None and (temporary is None or is_own):
            # Of the same class: a pipe that was closed by its reader is not a fault of the output.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    except Exception as error:
        # Writers that are not written in Python tell of the system's errors in their own classes.
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None


def _flush(path: Path) -> None:
    """Puts a file, or the names in a folder, on the disk, so that a power cut does not undo a rename by halves."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot do it for folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
