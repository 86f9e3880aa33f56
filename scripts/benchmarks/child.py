"""Calls a function of a section in a process of its own, as in ``python -m benchmarks.child < call.json``."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.subject import Subject
from machamp_lite.errors import MachampError

SCRIPTS = Path(__file__).resolve().parents[1]
ROOT = SCRIPTS.parent


def in_fresh_process(function: Callable[..., Any], subject: Subject, **arguments: Any) -> Any:
    """What a function of a module gives of a subject and other arguments; all of it can be said in JSON.

    Raises ``MachampError`` with the last line of a process that failed.
    """
    call = {
        "module": function.__module__,
        "function": function.__name__,
        "subject": dataclasses.asdict(subject),
        "arguments": arguments,
        "threads": torch.get_num_threads(),
    }
    output = run([sys.executable, "-m", "benchmarks.child"], given=json.dumps(call))
    return json.loads(output.splitlines()[-1])


def run(command: list[str], *, given: str = "") -> str:
    """What a command prints; raises ``MachampError`` with its last line if it fails."""
    paths = os.pathsep.join([str(SCRIPTS), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep)},
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise MachampError(f"{' '.join(command[1:])}: ended with {done.returncode} ({last})")
    return done.stdout


def main() -> None:
    """Reads a call, and prints what it gives as the last line."""
    call = json.load(sys.stdin)
    torch.set_num_threads(call["threads"])
    function = getattr(importlib.import_module(call["module"]), call["function"])
    print("\n" + json.dumps(function(Subject(**call["subject"]), **call["arguments"])))


if __name__ == "__main__":
    main()
