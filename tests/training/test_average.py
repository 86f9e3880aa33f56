"""The average of the best epochs is scored like an epoch, written as the model, and resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from machamp_lite.cli import main as cli
from machamp_lite.model import serialization
from machamp_lite.training import run as runs
from machamp_lite.training import run_folder

LORA = '{"rank": 2, "alpha": 4, "dropout": 0.0, "target_modules": null}'


@pytest.fixture
def flags(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> list[str]:
    config = write_config(D=dataset)
    values = ["training.num_epochs=4", "training.average_top_n=3", "encoder.dropout=0.3"]
    sets = [part for value in values for part in ("--set", value)]
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1", *sets]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def history_of(run: Path) -> list[dict[str, Any]]:
    return json.loads((run / "history.json").read_text())


@pytest.mark.parametrize("extra", [[], ["--set", f"encoder.lora={LORA}"], ["--set", "training.task_weighting=dwa"]])
def test_the_model_is_the_mean_of_the_best_epochs(flags: list[str], tmp_path: Path, extra: list[str]) -> None:
    run, every = tmp_path / "run", tmp_path / "every"
    assert cli.train([*flags, *extra, "--model_dir", str(run)]) == 0
    plain = [*flags, *extra, "--set", "training.average_top_n=0", "--set", "training.keep_top_n=4"]
    assert cli.train([*plain, "--model_dir", str(every)]) == 0
    *epochs, average = history_of(run)
    assert [epoch["total_loss"] for epoch in epochs] == [epoch["total_loss"] for epoch in history_of(every)]
    best = sorted(epochs, key=lambda epoch: -epoch["dev_sum"])[:3]
    assert average["average_of"] == [epoch["epoch"] for epoch in best]
    best_of_all = json.loads((every / "metrics.json").read_text())["best_epoch"]
    folders = [
        every / ("model" if epoch == best_of_all else f"epochs/{epoch}") for epoch in average["average_of"]
    ]
    found = weights_of(run / "model")
    for name, values in {name: [weights_of(folder)[name] for folder in folders] for name in found}.items():
        is_float = values[0].is_floating_point()
        expected = torch.stack(values).double().mean(0) if is_float else values[0]
        torch.testing.assert_close(found[name].double(), expected.double(), rtol=1e-5, atol=1e-7, equal_nan=True)
    assert not (run / "epochs").exists() and not (run / "state").exists()
    scores = json.loads((run / "D.out.eval").read_text())
    assert average["dev"]["D"]["upos"]["accuracy"] == pytest.approx(scores["upos"]["accuracy"])
    assert json.loads((run / "metrics.json").read_text())["best_epoch"] == 5
    assert "the model is the average of the epochs" in (run / "log.txt").read_text()


def test_epochs_that_the_user_keeps_are_kept(flags: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli.train([*flags, "--set", "training.keep_top_n=2", "--model_dir", str(run)]) == 0
    best, *_ = history_of(run)[-1]["average_of"]
    assert [path.name for path in (run / "epochs").iterdir()] == [str(best)]


@pytest.mark.parametrize("place", ["average", "save_model", "rotate", "finish"])
def test_a_run_that_is_stopped_while_it_averages_is_resumed(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    targets = {
        "average": (runs, "load_average_weights", 1),
        "save_model": (runs, "save_state", 5),
        "rotate": (run_folder, "rotate_checkpoints", 5),
        "finish": (runs, "predict_dev", 1),
    }
    module, name, last = targets[place]
    original, calls = getattr(module, name), []

    def stopping(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == last:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, stopping)
        assert cli.train([*flags, "--model_dir", str(broken)]) == 130
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    for file in ("model/model.safetensors", "D.out", "D.out.eval", "layers.json"):
        assert (broken / file).read_bytes() == (whole / file).read_bytes(), file
    assert [epoch["dev_sum"] for epoch in history_of(broken)] == [epoch["dev_sum"] for epoch in history_of(whole)]


def test_without_dev_data_the_last_epochs_are_averaged(
    write_config: Callable[..., str], dataset: dict[str, Any], flags: list[str], tmp_path: Path
) -> None:
    config = write_config("without.json", D={**dataset, "dev_data_path": None})
    flags[1] = config
    run = tmp_path / "last"
    assert cli.train([*flags, "--model_dir", str(run)]) == 0
    assert history_of(run)[-1]["average_of"] == [4, 3, 2]
    assert serialization.load_model(run).tasks


def test_a_single_epoch_is_not_averaged(flags: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli.train([*flags, "--model_dir", str(run), "--set", "training.num_epochs=1"]) == 0
    assert [one.get("average_of") for one in history_of(run)] == [None]
    assert "training.average_top_n: found only one epoch" in (run / "log.txt").read_text()
