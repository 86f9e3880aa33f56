"""Runs in a child of the test's own process, which has everything imported already, to be killed there."""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from machamp_lite import cli

POLL_SECONDS = 0.002


def start_training(arguments: Sequence[str], log: Path) -> int:
    """Starts a train command; what it prints goes to a file. Returns the child's process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        sys.stdout = sys.stderr = os.fdopen(descriptor, "w", buffering=1)
        code = cli.train(arguments)
    finally:
        # Nothing of the test's own process is to run a second time.
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


def train_to_the_end(arguments: Sequence[str], log: Path) -> None:
    """Trains in a child without being stopped."""
    child = start_training(arguments, log)
    code = wait_for(child)
    assert code == 0, f"exit code {code}:\n{log.read_text()}"


def outcome(folder: Path) -> dict[str, Any]:
    """All files that a run leaves, but for its log and the times it took."""
    files: dict[str, Any] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "log.txt"
    }
    with contextlib.suppress(KeyError):
        metrics = json.loads(files["metrics.json"])
        times = ("seconds", "words_per_second")
        files["metrics.json"] = [
            {key: value for key, value in epoch.items() if key not in times} for epoch in metrics
        ]
    return files


def plain_lines(text: str) -> list[str]:
    """What was printed, but for the log and the bar."""
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in lines if line.strip() and not re.match(r"\d\d:\d\d:|epoch \d+/", line)]
