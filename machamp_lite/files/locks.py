"""Locks of files, which the operating system releases when the process ends, even if it is killed."""

import logging
import os
import time
from pathlib import Path

from machamp_lite.files.temporaries import lock_file

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.01


class FileLock:
    """A lock that one process at a time can hold; also for Optuna, which calls the same two methods."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Waits for the lock, and takes it."""
        while not self.try_acquire():
            time.sleep(POLL_SECONDS)
        return True

    def try_acquire(self) -> bool:
        """Takes the lock, unless another process or another object has it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        is_locked = lock_file(descriptor)
        if is_locked is False:
            os.close(descriptor)
            return False
        if is_locked is None:
            logger.warning("%s: this file system does not support locks; start only one process", self.path)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives the lock back, if this object has it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
