"""A run that was stopped goes on as if it had never been."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite import cli, runs


@pytest.fixture
def flags(
    write_config: Callable[..., str], dataset: dict[str, Any], pair_dataset: dict[str, Any], tiny_params: str
) -> list[str]:
    config = write_config(WORDS=dataset, PAIRS=pair_dataset)
    values = ["training.num_epochs=4", "encoder.dropout=0.3", "batching.max_tokens=40"]
    sets = [part for value in values for part in ("--set", value)]
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1", *sets]


def stop_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends a run like Ctrl-C once the state of an epoch has been written."""
    original = runs.save_state

    def save_state(*arguments: Any, progress: Any, **options: Any) -> None:
        original(*arguments, progress=progress, **options)
        if progress.epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_state", save_state)


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves, but for the times it took."""
    metrics = json.loads((folder / "metrics.json").read_text())
    names = ["model/model.safetensors", "model/labels.json", "WORDS.out", "WORDS.out.eval", "PAIRS.out"]
    return {
        "metrics": [{key: value for key, value in epoch.items() if "second" not in key} for epoch in metrics],
        **{name: (folder / name).read_bytes() for name in names},
    }


@pytest.mark.parametrize("scheme", ["static", "uncertainty", "dwa", "random"])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_resumed_run_ends_bit_for_bit_like_an_unbroken_one(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, epoch: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = [*flags, "--set", f"training.task_weighting={scheme}"]
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    with monkeypatch.context() as stopping:
        stop_after(epoch, stopping)
        assert cli.train([*flags, "--model_dir", str(broken)]) == 130
    assert not (broken / "WORDS.out").exists()
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    assert outcome(broken) == outcome(whole)
    assert not (broken / "state").exists()


def test_a_run_with_a_frozen_encoder_goes_on_too(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*flags, "--set", "training.learning_rate_scheduler.gradual_unfreezing=true"]
    assert cli.train([*flags, "--model_dir", str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as stopping:
        stop_after(1, stopping)
        assert cli.train([*flags, "--model_dir", str(tmp_path / "broken")]) == 130
    assert cli.train(["--resume", str(tmp_path / "broken"), "--device", "-1"]) == 0
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_kept_epochs_patience_and_accumulation_go_on_too(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    sums = [1.0, 3.0, 2.0, 2.5]
    every_sum = iter(sums + sums)
    monkeypatch.setattr("machamp_lite.training.trainer.sum_of_main_metrics", lambda *_: next(every_sum))
    values = ["num_epochs=9", "keep_top_n=3", "patience=2", "accumulation_steps=3"]
    flags = [*flags, *(part for value in values for part in ("--set", f"training.{value}"))]
    flags += ["--set", "WORDS.tasks.upos.learning_rate=0.02"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    with monkeypatch.context() as stopping:
        stop_after(epoch, stopping)
        assert cli.train([*flags, "--model_dir", str(broken)]) == 130
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    assert next(every_sum, None) is None, "a run that has stopped goes straight to prediction"
    assert outcome(broken) == outcome(whole)
    assert len(outcome(whole)["metrics"]) == 4
    for name in ("epochs/3", "epochs/4"):
        weights = [(run / name / "model.safetensors").read_bytes() for run in (whole, broken)]
        assert weights[0] == weights[1]
    assert (broken / "layers.json").read_bytes() == (whole / "layers.json").read_bytes()
    kept = [{path.name for path in (run / "epochs").iterdir()} for run in (whole, broken)]
    assert kept == [{"3", "4"}] * 2


def test_what_has_changed_or_is_not_there_is_told_in_one_line(
    flags: list[str],
    tmp_path: Path,
    treebank: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def told(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.train([*arguments, "--device", "-1"]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if not line[:2].isdecimal()]
        return line

    run = tmp_path / "run"
    with monkeypatch.context() as stopping:
        stop_after(1, stopping)
        assert cli.train([*flags, "--model_dir", str(run)]) == 130
    assert "found no run that can go on" in told("--resume", str(tmp_path / "none"))
    assert told("--resume", str(run), "--set", "training.num_epochs=9").startswith(
        "--set: a run that goes on"
    )
    for flag in (["--retrain", str(run)], ["--sequential"]):
        assert told("--resume", str(run), *flag).startswith(f"{flag[0]}: a run that goes on keeps its config")
    optimizer = run / "state" / "optimizer.safetensors"
    kept = optimizer.read_bytes()
    optimizer.write_bytes(kept[:100])
    assert f"{run / 'state'}: holds no state" in told("--resume", str(run))
    optimizer.write_bytes(kept)
    treebank.write_text(treebank.read_text() + "\n")
    assert told("--resume", str(run)).startswith(f"{treebank}: has changed since {run} was started")
