"""Gradients of single tasks are compared without an effect on training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.training import run as runs
from machamp_lite.training import trainer
from machamp_lite.training.gradient_log import task_gradients
from machamp_lite.training.train_step import train_step


@pytest.fixture
def load(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> Callable[..., Any]:
    def load(*overrides: str) -> Any:
        return load_config([write_config(D=dataset)], parameters_config=tiny_params, overrides=overrides)

    return load


def test_norms_and_cosines_are_those_of_gradients_of_single_tasks(load: Callable[..., Any]) -> None:
    runs.seed_everything(1)
    config = load("training.grad_norm=null")
    data = runs.read_data(config)
    model = runs.build_model(config, data).eval()
    examples = list(data.train["D"])
    found = task_gradients(model, [examples[:2], examples[2:]])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    gradients = {}
    for task in model.tasks:
        # Each task alone, by the gradients of a training step.
        model.task_weights.loss_weights = {name: float(name == task) for name in model.tasks}
        train_step(model, [examples[:2], examples[2:]], optimizer)
        gradients[task] = torch.cat([weight.grad.flatten() for weight in model.encoder.parameters()])
    assert list(found) == model.tasks
    for place, (task, gradient) in enumerate(gradients.items()):
        expected = {task: gradient.norm().item()}
        for other in model.tasks[place + 1 :]:
            expected[other] = torch.cosine_similarity(gradient, gradients[other], dim=0).item()
        assert found[task] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_the_log_changes_no_result_and_is_resumed(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tiny_params: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = ["--dataset_configs", write_config(D=dataset), "--parameters_config", tiny_params, "--device", "-1"]
    flags += ["--set", "encoder.dropout=0.3", "--set", "batching.max_tokens=12"]
    plain, logged, resumed = (tmp_path / name for name in ("plain", "logged", "resumed"))
    assert cli.train([*flags, "--model_dir", str(plain)]) == 0
    flags += ["--set", "training.log_gradients=2"]
    assert cli.train([*flags, "--model_dir", str(logged)]) == 0
    with monkeypatch.context() as stopping:
        counts = iter(range(100))
        # After the third step.
        stopping.setattr(trainer.Trainer, "_save_is_due", lambda self: next(counts) == 2)
        stopping.setattr(runs, "remove_state", lambda folder: None)
        original = runs.save_state

        def save_state(*arguments: Any, **options: Any) -> None:
            original(*arguments, **options)
            raise KeyboardInterrupt

        stopping.setattr(runs, "save_state", save_state)
        assert cli.train([*flags, "--model_dir", str(resumed)]) == 130
    assert cli.train(["--resume", str(resumed), "--device", "-1"]) == 0
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (plain, logged, resumed)]
    assert weights[0] == weights[1] == weights[2]
    before, epochs, again = (
        json.loads((run / "history.json").read_text()) for run in (plain, logged, resumed)
    )
    assert "gradients" not in before[0]
    assert [epoch["gradients"] for epoch in epochs] == [epoch["gradients"] for epoch in again]
    assert "norms of gradients on the encoder: " in (logged / "log.txt").read_text()


def test_a_frozen_encoder_has_no_gradients(load: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"log_gradients .*expected update_weights_encoder to be true"):
        load("training.log_gradients=1", "encoder.update_weights_encoder=false")
    config = load()
    data = runs.read_data(config)
    model = runs.build_model(config, data)
    model.encoder.requires_grad_(False)
    assert task_gradients(model, [list(data.train["D"])]) == {}
