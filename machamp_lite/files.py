"""Files are whole or not there: written beside their place, flushed to the disk, and renamed."""

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

_PART, _OLD = ".part", ".old"


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
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PART, dir=path.parent)
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
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_PART, dir=path.parent))
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


def remove_leftovers(folder: str | Path) -> None:
    """Removes what writers that were killed have left beside their files."""
    for path in Path(folder).glob(".*"):
        if path.suffix in (_PART, _OLD):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


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
