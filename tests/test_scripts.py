"""The scripts beside the package run, on small things."""

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


def test_texts_and_labels_are_pasted_line_by_line(run: Callable[..., None], tmp_path: Path) -> None:
    texts, labels, mapping, output = (tmp_path / name for name in ("texts", "labels", "mapping", "out.tsv"))
    texts.write_text("so good\na\tb c\n")
    labels.write_text("1\n0\n")
    mapping.write_text("0\tsadness\n1\tjoy\n")
    run("paste_labels.py", str(texts), str(labels), str(output), "--mapping", str(mapping))
    assert output.read_text() == "so good\tjoy\na b c\tsadness\n"
    labels.write_text("1\n")
    with pytest.raises(SystemExit):
        run("paste_labels.py", str(texts), str(labels), str(output))


def test_ways_of_weighting_are_compared_in_a_table(
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
