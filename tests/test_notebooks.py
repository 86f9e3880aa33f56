"""The notebooks run, and are stored with small outputs."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

import machamp_lite

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
ONE_EPOCH = {"training.num_epochs": 1}
# In bytes, with all outputs.
LARGEST = 150_000


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@every_notebook
def test_notebooks_are_stored_with_their_outputs(path: Path) -> None:
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert cells[-1]["outputs"]
    assert path.stat().st_size < LARGEST


@every_notebook
def test_every_notebook_is_in_the_index(path: Path) -> None:
    assert f"(notebooks/{path.name})" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@every_notebook
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("run_notebooks", ROOT / "scripts" / "run_notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    os.symlink(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(folder)
    # One epoch, so that this is fast; everything else is as stored.
    train = machamp_lite.train
    monkeypatch.setattr(
        machamp_lite, "train", lambda *given, **options: train(*given, **{**options, "overrides": ONE_EPOCH})
    )
    notebook = read(path)
    stored = [[sorted(output) for output in cell.get("outputs", [])] for cell in notebook["cells"]]
    module.run_notebook(notebook)
    assert [[sorted(output) for output in cell.get("outputs", [])] for cell in notebook["cells"]] == stored
