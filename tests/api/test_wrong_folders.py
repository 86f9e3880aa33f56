"""Folders that are no model or no run are reported at once, with what to call instead."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import machamp_lite

ROOT = Path(__file__).resolve().parents[2]
CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "a misspelt model": (
        lambda: machamp_lite.load("runs/frist"),
        "runs/frist: found no such folder, expected .* did you mean 'runs/first'",
    ),
    "an ONNX folder": (
        lambda: machamp_lite.load("onnx"),
        "onnx: found a model in ONNX, expected a run folder .* machamp_lite.load_onnx",
    ),
    "an exported encoder": (
        lambda: machamp_lite.load("encoder"),
        "encoder: found an exported encoder without tasks, expected a run folder .* transformers loads it",
    ),
    "an exported encoder for ONNX": (
        lambda: machamp_lite.load_onnx("encoder"),
        "encoder: found an exported encoder without tasks, expected a folder that machamp-lite export --onnx",
    ),
    "a folder without a model": (lambda: machamp_lite.load("empty"), "empty: found no model, expected a run folder"),
    "a run for ONNX": (
        lambda: machamp_lite.load_onnx("runs/first"),
        "runs/first: found a model that is not exported, .* load it with machamp_lite.load, or first run machamp-lite "
        "export runs/first --onnx",
    ),
    "a misspelt ONNX folder": (
        lambda: machamp_lite.load_onnx("onxn"),
        "onxn: found no such folder, expected a folder that machamp-lite export .* did you mean 'onnx'",
    ),
    "a misspelt run": (
        lambda: machamp_lite.Run("runs/frist"),
        "runs/frist: found no epoch of a run .* did you mean 'runs/first'",
    ),
    "a run without an epoch": (lambda: machamp_lite.Run("empty"), "empty: found no epoch of a run"),
    "a group of runs": (lambda: machamp_lite.Run("group"), "group: .* it is the folder of a group of runs"),
    "a misspelt run to resume": (
        lambda: machamp_lite.train("my.json", "runs/frist", resume=True),
        "runs/frist: found no run to resume: there is no such folder; did you mean 'runs/first'",
    ),
    "an empty run to resume": (
        lambda: machamp_lite.train("my.json", "empty", resume=True),
        "empty: found no run to resume: it is not a run folder",
    ),
    "a finished run to resume": (
        lambda: machamp_lite.train("my.json", "runs/first", resume=True),
        "runs/first: found no run to resume: the run is finished; .* start a new run with retrain='runs/first'",
    ),
    "a misspelt model to start from": (
        lambda: machamp_lite.train("my.json", "runs/new", retrain="runs/frist"),
        "runs/frist: found no such folder",
    ),
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of each kind, which have only the names of their files."""
    encoder = [f"encoder/{name}" for name in ("config.json", "model.safetensors", "machamp_lite.json")]
    run = ["runs/first/model/model.safetensors", "runs/first/dataset-configs.json"]
    for name in (*run, *encoder, "empty/x", "onnx/onnx.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")
    (tmp_path / "group").mkdir()
    (tmp_path / "group/summary.json").write_text('{"runs": ["1"]}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_the_message_says_what_is_there(folders: Path, call: Callable[[], object], message: str) -> None:
    with pytest.raises(machamp_lite.ConfigError, match=f"^{message}") as error:
        call()
    assert len(error.value.faults) == 1
    assert not (folders / "runs/new").exists()


def test_nobody_waits_for_torch(folders: Path) -> None:
    program = """
import sys, machamp_lite
for call in (machamp_lite.load, machamp_lite.Run, lambda path: machamp_lite.train("my.json", path, resume=True)):
    try:
        call("runs/frist")
    except machamp_lite.ConfigError:
        continue
    sys.exit(1)
print(*sys.modules.keys() & {"torch", "transformers"})
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "\n"
