"""The scripts run on small data."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(name: str, *arguments: str) -> None:
        path = ROOT / "scripts" / name
        monkeypatch.setattr("sys.argv", [str(path), *arguments])
        runpy.run_path(str(path), run_name="__main__")

    return run


def test_variants_of_weighting_are_compared_in_a_table(
    run: Callable[..., None],
    write_config: Callable[..., str],
    pair_dataset: dict[str, Any],
    pairs: Path,
    encoder: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(
        "compare_weights.py",
        *("--dataset_configs", write_config(D=pair_dataset), "--dataset", "D", "--task", "same"),
        *("--test", str(pairs), "--seeds", "1", "2"),
        *("--set", f"transformer_model={encoder}", "--set", "encoder.max_input_length=64"),
        *("--set", "training.num_epochs=1", "none", "balanced=D.tasks.same.class_weights=balanced"),
    )
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if " ± " in line]
    assert [row[0] for row in rows] == ["| none", "| balanced"]
    assert all(len(row) == 4 for row in rows)
