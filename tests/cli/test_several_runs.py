"""One config is trained with several seeds; finished runs are kept, interrupted ones resumed, and all summarized."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.training import run as runs


@pytest.fixture
def flags(
    write_config: Callable[..., str], pair_dataset: dict[str, Any], tiny_params: str, tmp_path: Path
) -> list[str]:
    return [
        *("--dataset_configs", write_config(D=pair_dataset), "--parameters_config", tiny_params, "--device", "-1"),
        *("--model_dir", str(tmp_path / "group")),
    ]


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[Any]]:
    """Stops training at a number of saved states; returns the list of all saved states."""
    original, saved = runs.save_state, list[Any]()

    def stop(number: int) -> list[Any]:
        def save_state(*arguments: Any, **options: Any) -> None:
            original(*arguments, **options)
            saved.append(arguments)
            if len(saved) == number:
                raise KeyboardInterrupt

        monkeypatch.setattr(runs, "save_state", save_state)
        return saved

    return stop


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def test_each_seed_is_an_ordinary_run_and_all_are_summarized(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = tmp_path / "group"
    assert cli.train([*flags, "--seeds", "1", "2"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["dataset", "task", "metric", "mean", "deviation", "best", "run"]
    assert shown[1].split()[:3] == ["D", "same", "accuracy"]
    assert shown[-1] == f"written: {group / 'summary.json'}"
    summary = json.loads((group / "summary.json").read_text())
    histories = {seed: json.loads((group / seed / "history.json").read_text()) for seed in "12"}
    metrics = {seed: json.loads((group / seed / "metrics.json").read_text()) for seed in "12"}
    values = {
        seed: histories[seed][metrics[seed]["best_epoch"] - 1]["dev"]["D"]["same"]["accuracy"] for seed in "12"
    }
    found = summary["scores"]["D"]["same"]["accuracy"]
    assert (summary["seeds"], summary["runs"], found["values"]) == ([1, 2], ["1", "2"], values)
    assert found["mean"] == statistics.mean(values.values())
    assert found["deviation"] == statistics.stdev(values.values())
    assert found["best"] == max(values.values()) == values[found["best_run"]]
    assert cli.train([*flags[:-1], str(tmp_path / "alone"), "--seed", "2"]) == 0
    assert weights(group / "2") == weights(tmp_path / "alone")


def test_an_interrupted_group_is_resumed_and_finished_runs_are_kept(
    flags: list[str],
    tmp_path: Path,
    stop_after: Callable[[int], list[Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    group = tmp_path / "group"
    assert cli.train([*flags[:-1], str(tmp_path / "whole"), "--seeds", "1", "2"]) == 0
    saved = stop_after(3)
    assert cli.train([*flags, "--seeds", "1", "2"]) == 130
    assert f"to resume: python train.py --resume {group}\n" in capsys.readouterr().err
    resume = ["--resume", str(group), "--device", "-1"]
    assert cli.train(resume) == 0
    errors = capsys.readouterr().err
    assert "run 1 of 2, 1: is finished" in errors and "resuming at epoch 2" in errors
    assert len(saved) == 4
    for seed in "12":
        assert weights(group / seed) == weights(tmp_path / "whole" / seed)
    names = ("runs", "scores", "seeds")
    whole, resumed = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "group"))
    assert [whole[name] for name in names] == [resumed[name] for name in names]
    # Repeating either command trains nothing, and further seeds are added.
    assert cli.train(resume) == 0 and cli.train([*flags, "--seeds", "1", "2"]) == 0
    assert len(saved) == 4
    assert cli.train([*flags, "--seeds", "1", "2", "3", "-q"]) == 0
    assert len(saved) == 6 and weights(group / "1") == weights(tmp_path / "whole" / "1")
    capsys.readouterr()
    assert cli.train([*flags, "--seeds", "1", "--set", "training.optimizer.lr=0.1"]) == 2
    assert "lr: found 0.1, expected 'auto'" in capsys.readouterr().err


def test_runs_without_dev_data_have_no_scores(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.train([*flags, "--seeds", "5", "--set", "D.dev_data_path=null"]) == 0
    assert json.loads((tmp_path / "group" / "summary.json").read_text())["scores"] == {}
    assert capsys.readouterr().out == f"written: {tmp_path / 'group' / 'summary.json'}\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--seeds", "1", "1"], "--seeds: found 1 1, expected different numbers"),
        (["--seeds", "1", "2", "--seed", "3"], "--seeds: found together with --seed, expected one of them"),
        (["--seeds", "1", "2", "--folds", "2"], "--seeds: found together with --folds, expected one of them"),
        (["--seeds", "1", "--overwrite"], "--overwrite: cannot be combined with --seeds"),
        (["--folds", "1"], "--folds: found 1, expected at least 2"),
        (["--fold_by", "document"], "--fold_by: has no effect without --folds"),
    ],
)
def test_flags_that_do_not_fit_are_refused_in_one_line(
    flags: list[str], given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.train([*flags, *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "group").exists()


def test_a_folder_with_something_else_is_left_alone(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "summary.json").write_text("{}")
    assert cli.train([*flags, "--seeds", "1"]) == 2
    assert "is not a folder of train --seeds" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "group").iterdir()] == ["summary.json"]
