"""A lock on a run folder, which the system releases when its process ends, however it ends."""

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from machamp_lite.errors import ConfigError
from machamp_lite.files.temporaries import lock_file
from machamp_lite.files.written import is_plain_file, read_object

logger = logging.getLogger(__name__)

LOCK = "run.lock"
_KEYS = {"pid", "host", "since"}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other trainings out of a folder; raises ``ConfigError`` naming the process that is in it."""
    path = folder / LOCK
    descriptor = _lock(path)
    try:
        yield
    finally:
        # Before the lock is released: from now on, another process creates a new file.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def is_lock(path: Path) -> bool:
    """Whether a file is a lock of ours, held or left behind by a process that was killed."""
    try:
        return is_plain_file(path) and (path.stat().st_size == 0 or read_object(path).keys() == _KEYS)
    except OSError:
        return False


def _lock(path: Path) -> int:
    """Opens and locks the file; returns its descriptor."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _take(path, descriptor)
            if _is_same(path, descriptor):
                holder = {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                }
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{json.dumps(holder)}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The previous holder has removed the file in the meantime.
        os.close(descriptor)


def _take(path: Path, descriptor: int) -> None:
    is_locked = lock_file(descriptor)
    if is_locked is None:
        logger.warning("%s: this file system has no locks; train into this folder only once at a time", path)
    elif not is_locked:
        holder = read_object(path)
        who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
        raise ConfigError(
            f"{path.parent}: is in use by {who if holder else 'another process'}; wait until it has ended, or give "
            "another --model_dir"
        )


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
