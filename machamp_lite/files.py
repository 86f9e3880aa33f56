"""Files are whole or not there: written beside their place, flushed to the disk, and renamed."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, TextIO

_PART, _OLD = ".part", ".old"
# In the name of every temporary file: that it is ours, a hash of the host, and the process that writes it.
_MARK = "machamp"
_TEMPORARY = re.compile(rf"\.(.*)\.{_MARK}-([0-9a-f]{{8}})-(\d+)\.\w+({_PART}|{_OLD})", re.DOTALL)
# A file's name may have 255 bytes; what is left beside the mark.
_LONGEST_NAME = 210


@contextlib.contextmanager
def replacing_file(path: str | Path) -> Iterator[TextIO]:
    """A text file that takes the place of ``path`` when the block ends well, and leaves no trace when not."""
    with (
        replacing_path(path) as temporary,
        # newline="": what is written is written, line ends too.
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        yield file


@contextlib.contextmanager
def replacing_path(path: str | Path) -> Iterator[Path]:
    """The path of an empty file, for writers that want one; as ``replacing_file``."""
    path = Path(path)
    with _naming(path):
        descriptor, name = tempfile.mkstemp(prefix=_prefix(path.name), suffix=_PART, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        with _naming(path, temporary):
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            _flush(temporary)
            os.replace(temporary, path)
            _flush(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``path`` when the block ends well."""
    path = Path(path)
    with _naming(path):
        temporary = _new_folder(path)
    old = temporary.with_suffix(_OLD)
    try:
        with _naming(path, temporary):
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
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def temporary_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder beside ``path``, with its name and our mark; it is removed when the block ends."""
    path = Path(path)
    with _naming(path):
        temporary = _new_folder(path)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def replacing_safetensors(path: str | Path) -> Iterator[Path]:
    """As ``replacing_path``, for safetensors: it makes a temporary file of its own, which a kill would leave behind."""
    path = Path(path)
    with replacing_path(path) as temporary, temporary_folder(path) as room:
        yield room / path.name
        os.replace(room / path.name, temporary)


def is_temporary(path: Path) -> bool:
    """Whether a name is that of a temporary file of ours."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder: str | Path, names: Container[str] | None = None) -> None:
    """Removes the temporary files that writers of these ``names`` (by default of any) left when they were killed.

    What another process of this host is still writing stays. Call it where no other host writes these names.
    """
    for path in Path(folder).glob(".*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or not (names is None or match[1] in names) or path.is_symlink():
            continue
        if match[2] == _host() and int(match[3]) != os.getpid() and _is_running(int(match[3])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _new_folder(path: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=_prefix(path.name), suffix=_PART, dir=path.parent))


def _prefix(name: str) -> str:
    """How the name of a temporary file begins."""
    short = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
    return f".{short}.{_MARK}-{_host()}-{os.getpid()}."


def _host() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_json(path: str | Path, value: Any) -> None:
    """Writes JSON, indented, with a line end."""
    with replacing_file(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


@contextlib.contextmanager
def _naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Errors of the system name the file that was to be written, not its temporary one, and no other file."""
    try:
        yield
    except OSError as error:
        if temporary is None or error.filename is None or str(error.filename).startswith(str(temporary)):
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
