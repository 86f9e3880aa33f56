"""Locks the folder of a run. The operating system releases the lock when the process ends, even if it is killed."""

import contextlib
import functools
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError, check_empty_names
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import LOCK
from machamp_lite.files.temporaries import lock_file
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.run_folder import mark_run_folder, recorded_checksums
from machamp_lite.training.run_folder_checks import check_run_folder, inputs_of

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def lock_run_folder(
    folder: str | Path,
    config: Config,
    *,
    overwrite: bool = False,
    resume: bool = False,
    retrain: str | Path | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Path]:
    """Checks a run folder, creates it if necessary, and locks it until the block ends.

    Raises ``ConfigError`` if ``check_run_folder`` does, or if another run has locked the folder. Of several
    ``processes``, the main process holds the lock.
    """
    check_empty_names({"folder": folder, "retrain": retrain})
    folder = Path(folder)
    check = functools.partial(
        check_run_folder,
        folder,
        datasets=config.datasets,
        overwrite=overwrite,
        resume=resume,
        inputs=inputs_of(config, retrain),
    )
    with contextlib.ExitStack() as stack:

        def lock() -> None:
            if not processes.is_main_process:
                return
            # A run that has the lock may remove files during this check.
            with contextlib.suppress(FileNotFoundError):
                check()
            _create_folder(folder)
            stack.enter_context(_locked(folder))
            # Again, because another run may have ended here in the meantime.
            check()
            if recorded_checksums(folder) is None:
                mark_run_folder(folder)

        processes.run_on_all_ranks(lock)
        yield folder


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{folder}: cannot be created ({reason})") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder; raises ``ConfigError`` naming the process that has locked it."""
    path = folder / LOCK
    descriptor = _open_locked(path)
    try:
        yield
    finally:
        # Removed before the lock is released, so that the next process creates and locks a new file.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    """Opens and locks the lock file; returns its descriptor."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _lock(path, descriptor)
            if _is_same_file(path, descriptor):
                since = time.strftime("%Y-%m-%d %H:%M:%S")
                holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{json.dumps(holder)}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The previous holder has removed the file in the meantime.
        os.close(descriptor)


def _lock(path: Path, descriptor: int) -> None:
    is_locked = lock_file(descriptor)
    if is_locked is None:
        logger.warning("%s: this file system does not support locks; start no other run in this folder meanwhile", path)
    elif not is_locked:
        holder = read_json_object(path)
        who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
        raise ConfigError(
            f"{path.parent}: is in use by {who if holder else 'another process'}; wait until it has ended, or give "
            "another --model_dir"
        )


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
