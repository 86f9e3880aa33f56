"""Experiment trackers get the losses and scores of a run, and are needed only by runs that name them."""

import importlib.machinery
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.config import Config, load_config
from machamp_lite.errors import ConfigError
from machamp_lite.training.run import train
from machamp_lite.training.trackers import TRACKERS, make_trackers


class Calls:
    """Records calls of any method, with the methods' names."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., "Calls"]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*values: Any, **options: Any) -> Calls:
            self.made.append((name, values, options))
            return self

        return call

    def all(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(values, options) for found, values, options in self.made if found == name]


@pytest.fixture
def config(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> Callable[..., Config]:
    """Loads a config with trackers: two epochs of four sentences, one per step."""

    def load(*names: str) -> Config:
        overrides = ["batching.batch_size=1", "training.num_epochs=3", f"training.trackers={json.dumps(names)}"]
        return load_config([write_config(UD=dataset)], parameters_config=tiny_params, overrides=overrides)

    return load


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Calls]:
    """Installs a module whose functions record their calls."""

    def install(name: str) -> Calls:
        calls, module = Calls(), ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__getattr__ = calls.__getattr__  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
        return calls

    return install


def logged(name: str, calls: Calls) -> dict[str, dict[int, float]]:
    """All values by name and step."""
    found: dict[str, dict[int, float]] = {}
    for (values,), options in calls.all("log_metrics" if name == "mlflow" else "log"):
        for key, value in values.items():
            found.setdefault(key, {})[options["step"]] = value
    return found


def check(values: dict[str, dict[int, float]], folder: Path) -> None:
    """Compares logged values with those in the run folder."""
    history = json.loads((folder / "history.json").read_text())
    steps = [4, 8, 12]
    for key, expected in {
        "train/upos/loss": [epoch["train"]["upos"] for epoch in history],
        "train/total_loss": [epoch["total_loss"] for epoch in history],
        "dev/UD/tree/uas": [epoch["dev"]["UD"]["tree"]["uas"] for epoch in history],
        "dev/sum": [epoch["dev_sum"] for epoch in history],
        "epoch": [1, 2, 3],
    }.items():
        assert values[key] == pytest.approx(dict(zip(steps, expected, strict=True)), rel=1e-6), key
    assert values["step/learning_rate"].keys() == values["step/upos/loss"].keys() == {10}


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_tracker_gets_losses_scores_and_params(
    name: str, config: Callable[..., Config], fake: Callable[[str], Calls], tmp_path: Path
) -> None:
    calls = fake(name)
    train(config(name), tmp_path / "run", progress=False)
    check(logged(name, calls), tmp_path / "run")
    if name == "mlflow":
        (params,), _ = calls.all("log_params")[0]
        ((uri,), _), ((_), started) = calls.all("set_tracking_uri")[0], calls.all("start_run")[0]
        assert uri == f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}"
        run_name = started["run_name"]
    else:
        _, options = calls.all("init")[0]
        params, run_name = options["config"], options["name"]
    assert params["training.num_epochs"] == 3 and params["encoder.lora"] == "None"
    assert run_name.startswith("run ")
    if name == "wandb":
        assert (options["mode"], options["dir"]) == ("offline", str(tmp_path / "run"))
    assert calls.made[-1][0] == ("end_run" if name == "mlflow" else "finish")


def test_tensorboard_gets_losses_and_scores(
    config: Callable[..., Config], fake: Callable[[str], Calls], tmp_path: Path
) -> None:
    fake("tensorboard")
    calls = fake("torch.utils.tensorboard")
    train(config("tensorboard"), tmp_path / "run", progress=False)
    values: dict[str, dict[int, float]] = {}
    for (key, value, step), _ in calls.all("add_scalar"):
        values.setdefault(key, {})[step] = value
    check(values, tmp_path / "run")
    assert Path(calls.all("SummaryWriter")[0][0][0]).parent == tmp_path / "run" / "tensorboard"
    assert calls.made[-1][0] == "close"


def test_files_of_tensorboard_have_losses_and_scores(config: Callable[..., Config], tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(config("tensorboard"), tmp_path / "run", progress=False)
    (folder,) = (tmp_path / "run" / "tensorboard").iterdir()
    accumulator = events.EventAccumulator(str(folder))
    accumulator.Reload()
    values = {
        key: {event.step: event.value for event in accumulator.Scalars(key)} for key in accumulator.Tags()["scalars"]
    }
    check(values, tmp_path / "run")


def test_a_tracker_is_closed_when_a_run_fails(
    config: Callable[..., Config], fake: Callable[[str], Calls], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake("wandb")

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("machamp_lite.training.trainer.evaluate", fail)
    with pytest.raises(KeyboardInterrupt):
        train(config("wandb"), tmp_path / "run", progress=False)
    assert calls.made[-1][0] == "finish"


def test_missing_packages_are_one_line_each_before_data_is_read(
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_params: str,
) -> None:
    monkeypatch.setattr("machamp_lite.training.trackers.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        make_trackers(list(TRACKERS))
    assert len(caught.value.faults) == len(TRACKERS)
    monkeypatch.chdir(tmp_path)
    config("wandb")
    flags = ["--dataset_configs", "config.json", "--parameters_config", tiny_params]
    for more in (["--check"], ["--model_dir", "run"]):
        assert cli.train([*flags, *more, "-q", "--set", 'training.trackers=["wandb"]']) == 2
        expected = "training -> trackers: found no package wandb; run pip install 'machamp_lite[wandb]'\n"
        assert capsys.readouterr().err == expected


def test_every_tracker_can_be_named_and_installed() -> None:
    pyproject = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'\n{name} = ["{name}>=' in pyproject for name in TRACKERS)


def test_names_that_mlflow_refuses_are_changed(fake: Callable[[str], Calls], config: Callable[..., Config]) -> None:
    calls = fake("mlflow")
    (tracker,) = make_trackers(["mlflow"])
    tracker._mlflow = sys.modules["mlflow"]  # type: ignore[attr-defined]
    tracker.log({"dev/A+B (x)/f1": 0.5}, step=1)
    assert calls.all("log_metrics") == [(({"dev/A_B _x_/f1": 0.5},), {"step": 1})]
