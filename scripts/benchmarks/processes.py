"""Functions of the benchmark in new processes, and the time that commands take to start."""

import contextlib
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import Figure, timed
from benchmarks.subject import BenchmarkData, Subject, first_records, read
from machamp_lite.errors import ConfigError, MachampError
from machamp_lite.export.onnx_folder import export_onnx
from machamp_lite.model.serialization import save_model

SCRIPTS = Path(__file__).resolve().parents[1]
ROOT = SCRIPTS.parent


def in_fresh_process(function: Callable[..., Any], subject: Subject, **arguments: Any) -> Any:
    """The result of a function in a new process; its arguments and result must be serializable as JSON.

    Raises ``MachampError`` with the last line of a process that fails.
    """
    call = {
        "module": function.__module__,
        "function": function.__name__,
        "subject": dataclasses.asdict(subject),
        "arguments": arguments,
        "threads": torch.get_num_threads(),
    }
    output = run([sys.executable, "-m", "benchmarks.processes"], stdin=json.dumps(call))
    return json.loads(output.splitlines()[-1])


def run(command: list[str], *, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """The output of a command; raises ``MachampError`` with the last line of stderr if it fails."""
    paths = os.pathsep.join([str(SCRIPTS), str(ROOT), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep), **(environment or {})},
        check=False,
    )
    if finished.returncode:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise MachampError(f"{' '.join(command[1:])}: ended with {finished.returncode} ({last})")
    return finished.stdout


def startup(subject: Subject) -> list[Figure]:
    """Seconds of whole processes: help, imports, and the prediction of one sentence, also with ONNX if possible."""
    with tempfile.TemporaryDirectory() as place:
        model, exported, text, output = (Path(place, name) for name in ("model", "onnx", "text", "output"))
        material = read(subject.config(), sentences=1)
        save_model(material.model(), model)
        # What the encoder or the packages do not allow.
        with contextlib.suppress(ConfigError):
            export_onnx(material.model(), exported, provenance={})
        name, dataset = next(iter(material.config.datasets.items()))
        text.write_text(first_records(dataset, 1), encoding="utf-8", newline="")
        predict = [*map(str, (ROOT / "predict.py", model, text, output)), "--dataset", name, "--device", "-1"]
        commands = {
            "help": ("python train.py --help", [str(ROOT / "train.py"), "--help"]),
            "imports": ("importing what training imports", ["-c", "import machamp_lite.training.run"]),
            "predict": ("python predict.py with one sentence", predict),
            "load": ("`machamp_lite.load` and one sentence", ["-c", _first_prediction("load", model, material)]),
        }
        if exported.exists():
            program = _first_prediction("load_onnx", exported, material)
            commands["load_onnx"] = ("`machamp_lite.load_onnx` and one sentence", ["-c", program])
        times = timed(
            {
                key: lambda command=command: run([sys.executable, *command])  # type: ignore[misc]
                for key, (_, command) in commands.items()
            },
            repeats=subject.repeats,
        )
    return [Figure(f"startup_{key}", commands[key][0], "s", values) for key, values in times.items()]


def _first_prediction(load: str, folder: Path, material: BenchmarkData) -> str:
    """A program that loads a model and predicts one sentence."""
    example = next(example for batch in material.batches() for example in batch)
    inputs = f"{tuple(example.words)!r}, dataset={example.dataset!r}"
    return f"import machamp_lite; machamp_lite.{load}({str(folder)!r}).predict({inputs})"


def main() -> None:
    """Reads a call from stdin, and prints the result as the last line."""
    call = json.load(sys.stdin)
    torch.set_num_threads(call["threads"])
    function = getattr(importlib.import_module(call["module"]), call["function"])
    print("\n" + json.dumps(function(Subject(**call["subject"]), **call["arguments"])))


if __name__ == "__main__":
    main()
