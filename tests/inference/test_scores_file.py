"""Scores files in the format of MaChAmp: one object per metric, and the sum of main metrics."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.inference.file_pairs import is_scores_file

TASKS: dict[str, dict[str, Any]] = {
    "upos": {"task_type": "seq", "column_idx": 3, "metric": "f1_macro", "additional_metrics": ["f1_micro"]},
    "slots": {"task_type": "seq_bio", "column_idx": 8, "additional_metrics": ["accuracy"]},
    "degree": {"task_type": "regression", "column_idx": -1, "additional_metrics": []},
    "tree": {"task_type": "dependency", "column_idx": 6, "additional_metrics": ["f1_binary"], "positive_label": "det"},
}


@pytest.fixture
def train(
    write_config: Callable[..., str],
    tiny_params: str,
    dataset: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], dict[str, Any]]:
    """Trains into a folder with the name of the format; returns the scores of the dev file."""
    monkeypatch.chdir(tmp_path)
    flags = ["--dataset_configs", write_config(UD={**dataset, "tasks": TASKS}), "--parameters_config", tiny_params]

    def train(eval_format: str) -> dict[str, Any]:
        options = ["--set", f"training.eval_format={eval_format}", "--device", "-1", "--model_dir", eval_format]
        assert cli.train([*flags, *options]) == 0
        scores: dict[str, Any] = json.loads(Path(eval_format, "UD.out.eval").read_text())
        return scores

    return train


def test_the_format_of_machamp_has_the_same_scores(
    train: Callable[[str], dict[str, Any]], treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detailed, found = train("detailed"), train("machamp")
    assert list(found) == [*TASKS, "sum"] == [*detailed, "sum"]
    for task, options in TASKS.items():
        main = found[task].pop("optimization_metrics")
        assert found[task][main].pop("sum") == main == options.get("metric", main)
        assert list(found[task]) == [main, *options["additional_metrics"]]
        for metric, values in found[task].items():
            assert list(values)[-1] == metric or metric == "f1_macro"
            assert values[metric] == detailed[task][metric]
    for label, row in detailed["upos"]["labels"]["labels"].items():
        assert found["upos"]["f1_macro"][f"recall_{label}"] == row["recall"]
    assert found["upos"]["f1_micro"].keys() == {"precision_micro", "recall_micro", "f1_micro"}
    assert found["slots"]["span_f1"].keys() == {"precision", "recall", "span_f1"}
    assert found["tree"]["f1_binary"].keys() == {"precision_binary", "recall_binary", "f1_binary"}
    assert found["sum"] == pytest.approx(json.loads(Path("machamp/metrics.json").read_text())["best_dev_sum"])

    # Predictions with the model have its format, and replace a scores file of either format.
    for _ in range(2):
        assert cli.predict(["machamp", str(treebank), "out", "--device", "-1"]) == 0, capsys.readouterr().err
        assert Path("out.eval").read_text() == Path("machamp/UD.out.eval").read_text()
    assert cli.predict(["detailed", str(treebank), "out", "--device", "-1"]) == 0, capsys.readouterr().err
    assert json.loads(Path("out.eval").read_text()) == detailed


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"upos": {"optimization_metrics": "accuracy", "accuracy": {"accuracy": 1.0}}, "sum": 1.0}, True),
        ({"sum": {"accuracy": 1.0, "scored": 3, "skipped": 0}}, True),
        ({"sum": 1.0}, False),
        ({"upos": {"optimization_metrics": "accuracy", "mine": 1}, "sum": 1.0}, False),
        ({"upos": {"accuracy": 1.0}, "sum": 1.0}, False),
        ({}, False),
    ],
)
def test_scores_files_of_both_formats_are_recognised(tmp_path: Path, content: dict[str, Any], expected: bool) -> None:
    path = tmp_path / "out.eval"
    path.write_text(json.dumps(content))
    assert is_scores_file(path) == expected
