"""Work in a child of the test's own process, which has everything imported already; it may be killed there."""

import os
import re
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tqdm.auto import tqdm

POLL_SECONDS = 0.002
FAILED = 99


def start(work: Callable[[], int], log: Path) -> int:
    """Starts work that gives an exit code; what it prints goes to a file. Returns the child's process id."""
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        sys.stdout = sys.stderr = log.open("a", buffering=1)
        os.dup2(sys.stderr.fileno(), 2)
        # All children share tqdm's own; one that is killed while it has it would stop the others for good.
        tqdm.set_lock(threading.RLock())
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        # Nothing of the test's own process is to run a second time.
        sys.stderr.flush()
        os._exit(code)


def wait_for(child: int, *, seconds: float = 60.0, until: Callable[[], bool] = lambda: False) -> int | None:
    """The exit code of a child, negative if a signal ended it; None if the time or ``until`` came first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    return None


def wait_for_end(pipe: BinaryIO, *, seconds: float = 60.0) -> None:
    """Waits until all processes that write to a pipe have ended; fails if it takes too long."""
    end = time.monotonic() + seconds
    while True:
        assert select.select([pipe], [], [], max(0, end - time.monotonic()))[0], "a process has not ended"
        if not pipe.read(1):
            return


def plain_lines(text: str) -> list[str]:
    """What was printed, but for the log with its tables, the bar, and warnings of torch itself."""
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in lines if line.strip() and not re.match(r"\d\d:\d\d:|  |epoch \d+/|\[", line)]
