"""Runs of the train command in a child, to be killed there, and what they leave."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import children
from children import wait_for
from run_metrics import metrics_of

from machamp_lite.cli import main as cli


def start_training(arguments: Sequence[str], log: Path) -> int:
    """Starts a train command; what it prints goes to a file. Returns the child's process id."""
    return children.start(lambda: cli.train(arguments), log)


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
    return files | metrics_of(folder)
