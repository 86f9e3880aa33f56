"""A model has the same losses and predictions with and without each optimisation."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import machamp_lite
from machamp_lite.acceleration import NAMES, WITHOUT, accelerate, disabled
from machamp_lite.acceleration.allocator import keep_freed_memory, limit_onednn_primitives
from machamp_lite.acceleration.bf16_copy import BF16InferenceCopy
from machamp_lite.acceleration.cpu_dropout import Dropout
from machamp_lite.acceleration.packing import PackedLayout
from machamp_lite.acceleration.padded_linear import PaddedLinear
from machamp_lite.acceleration.reduced_vocabulary import ReducedVocabularyEmbedding
from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.encoder import call_transformer
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.run import RunData, build_model, read_data, seed_everything
from machamp_lite.training.train_step import train_step

APPLIED: dict[str, Callable[[Model], bool]] = {
    "dropout": lambda model: type(model.dropout) is Dropout,
    "linear": lambda model: any(isinstance(module, PaddedLinear) for module in model.modules()),
    "packing": lambda model: isinstance(model.encoder.layout, PackedLayout),
    "bf16_copy": lambda model: isinstance(model.encoder.call, BF16InferenceCopy),
    "vocabulary": lambda model: any(isinstance(module, ReducedVocabularyEmbedding) for module in model.modules()),
}
# A model without acceleration, and one without each optimisation.
VARIANTS = {"all": list(NAMES), **{name: [name] for name in NAMES}}
Build = Callable[..., tuple[Model, RunData]]


@pytest.fixture
def build(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> Build:
    def build(*without: str, precision: str = "fp32") -> tuple[Model, RunData]:
        overrides = [f"training.precision={precision}", "training.optimizer.weight_decay=0.1"]
        config = load_config([write_config(DATA=dataset)], parameters_config=tiny_params, overrides=overrides)
        seed_everything(1)
        data = read_data(config)
        model = build_model(config, data)
        seen = (examples.subword_ids() for examples in data.train.values())
        return accelerate(model, seen_subwords=seen, without=without), data

    return build


def losses_and_labels(model: Model, data: RunData) -> tuple[list[float], Any]:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    optimizer = make_optimizer(model)
    steps = [train_step(model.train(), [data.train["DATA"]], optimizer)[0] for _ in range(3)]
    losses = [float(loss) for step in steps for loss in step.tasks.values()]
    return losses, dict(predict_labels(model, data.dev["DATA"]))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 3e-2)])
def test_losses_and_predictions_are_the_same_without_each(build: Build, precision: str, tolerance: float) -> None:
    losses, labels = losses_and_labels(*build(precision=precision))
    for name, without in VARIANTS.items():
        found, found_labels = losses_and_labels(*build(*without, precision=precision))
        assert found == pytest.approx(losses, rel=tolerance), name
        assert precision == "bf16" or found_labels == labels, name


def test_each_can_be_left_out_alone(build: Build) -> None:
    for name, without in VARIANTS.items():
        model, _ = build(*without)
        applied = {own for own, is_applied in APPLIED.items() if is_applied(model)}
        assert applied == APPLIED.keys() - set(without), name


def test_a_model_is_complete_without_acceleration(build: Build) -> None:
    model, _ = build(*NAMES)
    assert {type(module).__module__ for module in model.modules() if "acceleration" in type(module).__module__} == set()
    assert model.encoder.call is call_transformer


def test_acceleration_twice_is_acceleration_once(build: Build) -> None:
    model, _ = build()
    layout = model.encoder.layout
    assert accelerate(model).encoder.layout is layout


def test_the_environment_leaves_out_by_name(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WITHOUT, " packing,dropout,,")
    assert disabled() == {"packing", "dropout"}
    model, _ = build("linear")
    assert {name for name, is_applied in APPLIED.items() if is_applied(model)} == {"bf16_copy", "vocabulary"}
    monkeypatch.setenv(WITHOUT, "")
    assert disabled() == frozenset()


def test_an_unknown_name_is_reported_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(WITHOUT, "dropuot,packing")
    for use in (disabled, keep_freed_memory, lambda: limit_onednn_primitives(1)):
        with pytest.raises(ConfigError, match=f"{WITHOUT}: unknown optimisation 'dropuot'; did you mean 'dropout'"):
            use()
    assert cli.train(["--dataset_configs", "data.json"]) == 2
    assert capsys.readouterr().err.startswith(f"{WITHOUT}: unknown optimisation 'dropuot'")


def test_settings_of_the_process_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(WITHOUT, "primitives,allocator")
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("the allocator was set"))
    limit_onednn_primitives(5)
    keep_freed_memory()
    assert name not in os.environ


def test_acceleration_draws_no_random_numbers(build: Build) -> None:
    model, _ = build(*NAMES)
    before = torch.get_rng_state()
    accelerate(model)
    assert torch.equal(before, torch.get_rng_state())


def test_only_runs_commands_and_loading_import_acceleration() -> None:
    package = Path(machamp_lite.__file__).parent
    importing = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "machamp_lite.acceleration" in path.read_text(encoding="utf-8")
        and path.parent.name not in ("acceleration", "cli")
    }
    assert importing == {
        "api/loading.py",
        "inference/ensembles.py",
        "training/cross_validation.py",
        "training/run.py",
        "training/weight_comparison.py",
    }
