"""Ways of weighting are compared over several seeds; a repeated command keeps what is finished."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli.commands import main
from machamp_lite.training import run as runs


@pytest.fixture
def flags(
    write_config: Callable[..., str], pair_dataset: dict[str, Any], tiny_params: str, tmp_path: Path
) -> list[str]:
    return [
        *("--dataset_configs", write_config(D=pair_dataset), "--parameters_config", tiny_params, "--device", "-1"),
        *("--set", "training.num_epochs=1", "--model_dir", str(tmp_path / "ways"), "--seeds", "1", "2"),
    ]


WAYS = ["--way", "plain", "--way", "balanced", "class_weights=balanced", "focal_gamma=2"]


def compare(*flags: str) -> int:
    return main(["compare-weights", *flags])


def test_every_way_is_trained_with_every_seed_and_reported(
    flags: list[str], tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(*flags, *WAYS, "--metric", "f1_macro", "--test", str(pairs)) == 0
    shown = capsys.readouterr().out
    ways = tmp_path / "ways"
    assert sorted(path.parent.name + path.name for path in ways.glob("*/*")) == [
        "balanced1",
        "balanced2",
        "plain1",
        "plain2",
    ]
    params = json.loads((ways / "balanced" / "2" / "params-config.json").read_text())
    options = json.loads((ways / "balanced" / "2" / "dataset-configs.json").read_text())["D"]["tasks"]["same"]
    assert params["random_seed"] == 2
    assert (options["class_weights"], options["focal_gamma"], options["metric"]) == ("balanced", 2.0, "f1_macro")
    report = (ways / "comparison.md").read_text()
    table = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")]
    assert [row[0] for row in table] == ["| way", "| ---", "| plain", "| balanced"]
    assert table[0][1] == "f1_macro" and all(" ± " in row[1] for row in table[2:])
    assert report.splitlines()[-1] in shown and "p (sentences)" in shown
    found = json.loads((ways / "comparison.json").read_text())["ways"]
    scores = [json.loads((ways / "plain" / seed / "history.json").read_text()) for seed in "12"]
    assert found["plain"]["scores"]["f1_macro"] == [run[0]["tasks"]["same"]["f1_macro"] for run in scores]


def test_finished_runs_are_kept_and_interrupted_ones_resumed(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, saved = runs.save_state, []

    def save_state(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        saved.append(arguments)
        if len(saved) == 3:
            raise KeyboardInterrupt

    flags = [*flags, *WAYS, "--set", "training.num_epochs=2"]
    monkeypatch.setattr(runs, "save_state", save_state)
    assert compare(*flags) == 130
    assert "repeat the command" in capsys.readouterr().err
    first = tmp_path / "ways" / "plain" / "1" / "model" / "model.safetensors"
    before = first.stat().st_mtime_ns
    assert compare(*flags) == 0
    assert first.stat().st_mtime_ns == before
    assert "resuming at epoch 2" in capsys.readouterr().err
    assert len(saved) == 8
    assert compare(*flags) == 0
    assert len(saved) == 8
    assert compare(*flags, "--set", "training.optimizer.lr=0.1") == 2
    assert "lr: found 0.1, expected 'auto'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--way", "plain"], "--way: found 1 of them, expected at least two"),
        ([*WAYS, "--way", "plain", "focal_gamma=1"], "way 'plain': found twice"),
        ([*WAYS, "--way", "other", "class_weights=balanced", "focal_gamma=2"], "has the same config as 'balanced'"),
        ([*WAYS, "--way", "a/b", "focal_gamma=1"], "way 'a/b': expected a name of letters"),
        ([*WAYS, "--way", "x", "focal_gama=1"], "focal_gama: unknown key; did you mean 'focal_gamma'?"),
        ([*WAYS, "--way", "off", "loss_weight=0"], "the loss_weight of every task is 0"),
        ([*WAYS, "--task", "sane"], "--task: no task 'sane'; did you mean 'same'?"),
        ([*WAYS, "--metric", "f1_makro"], "f1_macro"),
        ([*WAYS, "--seeds", "1", "1"], "--seeds: found 1 1, expected different numbers"),
        ([*WAYS, "--dataset", "D"], "--dataset: has no effect without --test"),
        ([*WAYS, "--test", "nothing.tsv"], "--test: found no file nothing.tsv"),
        ([*WAYS, "--set", "D.dev_data_path=null"], "no dataset with 'same' has dev_data_path"),
        ([*WAYS, "--ways", "WAYS"], "expected an object with options, found 3"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    flags: list[str], given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ways.json").write_text('{"bad": 3}')
    given = [str(tmp_path / "ways.json") if text == "WAYS" else text for text in given]
    assert compare(*flags, *given) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "ways").exists()


def test_a_folder_with_something_else_is_left_alone(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ways").mkdir()
    (tmp_path / "ways" / "comparison.json").write_text("{}")
    assert compare(*flags, *WAYS) == 2
    assert "is not a folder of compare-weights" in capsys.readouterr().err
    assert (tmp_path / "ways" / "comparison.json").read_text() == "{}"


def test_ways_with_objects_are_read_from_a_file_and_other_data_is_refused(
    flags: list[str], tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ways.json"
    path.write_text('{"plain": {}, "costs": {"class_weights": {"yes": 2, "*": 1}, "D.sampling_weight": 2}}')
    flags = [*flags, "--ways", str(path), "--seeds", "1"]
    assert compare(*flags) == 0
    saved = json.loads((tmp_path / "ways" / "costs" / "1" / "dataset-configs.json").read_text())["D"]
    assert saved["tasks"]["same"]["class_weights"] == {"yes": 2.0, "*": 1.0} and saved["sampling_weight"] == 2.0
    pairs.write_text(pairs.read_text().replace("dog", "cat"))
    capsys.readouterr()
    assert compare(*flags) == 2
    assert f"{pairs}: has changed since" in capsys.readouterr().err
