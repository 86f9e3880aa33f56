"""The types of the Python API, as users and their editors see them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "typing" / "user.py"
# Options that the API does not have, and results of other types.
WRONG = """
import machamp_lite
model = machamp_lite.load("runs/x")
model.predict("a", topk=3)
model.predict(3)
model.predict(["a"]).labels
machamp_lite.train("my.json", "runs/x", epochs=3)
"""


@pytest.mark.slow
def test_a_users_program_passes_mypy_strict_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    def faults(path: Path) -> list[str]:
        options = ["--strict", "--show-absolute-path", "--cache-dir", str(tmp_path / "cache")]
        done = subprocess.run(
            # The config leaves out the sources of transformers, which would take minutes.
            [sys.executable, "-m", "mypy", *options, "--config-file", ROOT / "pyproject.toml", path],
            cwd=tmp_path,
            env={**os.environ, "MYPYPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert "checked 1 source file" in done.stdout, done.stdout + done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith(str(path)) and "error:" in line]

    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    assert faults(PROGRAM) == []
    assert len({line.split(":")[1] for line in faults(tmp_path / "wrong.py")}) == 4
