"""Learning rates."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from machamp_lite.config import load_config
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.optimizer import (
    MEASURED_WIDTH,
    learning_rates,
    make_optimizer,
    set_encoder_trainable,
    set_rates,
    slanted_triangle,
)
from machamp_lite.training.run import build_model, read_data

LR, FACTOR = "training.optimizer.lr", "training.learning_rate_scheduler.decay_factor"


@pytest.fixture
def model_with(
    write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str
) -> Callable[..., Model]:
    def build(*overrides: str) -> Model:
        config = load_config([write_config(DATA=dataset)], parameters_config=tiny_params, overrides=overrides)
        return build_model(config, read_data(config))

    return build


def test_the_triangle_rises_to_one_and_falls_to_its_start() -> None:
    rates = [slanted_triangle(step, steps=100, cut_frac=0.3) for step in range(101)]
    assert rates[0] == rates[100] == pytest.approx(1 / 32)
    assert rates[30] == max(rates) == 1.0
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    # Halfway up and halfway down.
    assert rates[15] == pytest.approx((1 + 31 / 2) / 32)
    assert rates[65] == pytest.approx((1 + 31 / 2) / 32)


@pytest.mark.parametrize(("steps", "cut_frac"), [(1, 0.3), (2, 0.0), (5, 1.0), (1, 1.0)])
def test_the_triangle_stays_in_range_for_short_runs(steps: int, cut_frac: float) -> None:
    assert all(0 < slanted_triangle(step, steps=steps, cut_frac=cut_frac) <= 1 for step in range(steps))


def test_the_encoder_has_the_decayed_learning_rate(model_with: Callable[..., Model]) -> None:
    scheduler = "training.learning_rate_scheduler"
    model = model_with(
        "training.optimizer.lr=0.01", f"{scheduler}.decay_factor=0.1", f"{scheduler}.cut_frac=0.5"
    )
    optimizer = make_optimizer(model)
    set_rates(optimizer, step=5, steps=10, scheduler=model.config.params.training.learning_rate_scheduler)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.001])
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_without_discriminative_fine_tuning_there_is_one_learning_rate(model_with: Callable[..., Model]) -> None:
    model = model_with(f"{LR}=0.005", "training.learning_rate_scheduler.discriminative_fine_tuning=false")
    (group,) = make_optimizer(model).param_groups
    assert len(group["params"]) == len(list(model.parameters()))


RATES = [
    ([], {"upos": 0.005, "tree": 0.005}),
    (["DATA.tasks.upos.learning_rate=0.02"], {"upos": 0.02, "tree": 0.005}),
    (["decoders.dependency.learning_rate=0.001"], {"upos": 0.005, "tree": 0.001}),
    (["decoders.default_decoder.learning_rate=0.002"], {"upos": 0.002, "tree": 0.002}),
    (
        ["decoders.default_decoder.learning_rate=0.002", "DATA.tasks.tree.learning_rate=null"],
        {"upos": 0.002, "tree": 0.005},
    ),
]


@pytest.mark.parametrize(("overrides", "expected"), RATES)
def test_a_decoder_and_its_layer_mix_have_the_learning_rate_of_their_task(
    model_with: Callable[..., Model], overrides: list[str], expected: dict[str, float]
) -> None:
    model = model_with(*overrides)
    optimizer = make_optimizer(model)
    found = {id(each): group["initial_lr"] for group in optimizer.param_groups for each in group["params"]}
    for task, rate in expected.items():
        number = model.tasks.index(task)
        own = [*model.decoders[number].parameters(), *model.mixes[number].parameters()]
        assert {found[id(parameter)] for parameter in own} == {rate}
    peaks = [group["initial_lr"] for group in optimizer.param_groups]
    assert len(peaks) == len(set(peaks)), "one group a rate"
    encoder = learning_rates(model.config, width=model.encoder.width).encoder
    assert {found[id(parameter)] for parameter in model.encoder.parameters()} == {encoder}


TASKS = {
    "upos": {"task_type": "seq", "column_idx": 3},
    "entities": {"task_type": "seq_bio", "column_idx": 9},
    "intent": {"task_type": "classification", "column_idx": -1},
}
# Tasks, overrides, width of the encoder; the encoder's rate and those of the decoders.
AUTO_RATES = [
    (["upos"], [], 384, 0.0004, [0.005]),
    (["entities"], [], 384, 0.0002, [0.005]),
    (["intent"], [], 384, 0.0001, [0.001]),
    (["upos", "entities"], [], 384, 0.0004, [0.005, 0.005]),
    (["entities", "intent"], [], 384, 0.0002, [0.005, 0.001]),
    # At most twice the lowest rate.
    (["upos", "intent"], [], 384, 0.0002, [0.005, 0.001]),
    (["upos", "entities", "intent"], [], 384, 0.0002, [0.005, 0.005, 0.001]),
    # A task that is neither trained nor predicted does not change the encoder's rate.
    (["upos", "intent"], ["DATA.tasks.upos.loss_weight=0"], 384, 0.0001, [0.005, 0.001]),
    (["upos", "intent"], ["DATA.tasks.intent.learning_rate=0.02"], 384, 0.0002, [0.005, 0.02]),
    # A number replaces the rates of all task types.
    (["upos", "intent"], [f"{LR}=0.002", f"{FACTOR}=0.5"], 384, 0.001, [0.002, 0.002]),
    (["upos", "intent"], [f"{LR}=0.002", f"{FACTOR}=0.5"], 1024, 0.001, [0.002, 0.002]),
    (["entities"], [f"{LR}=0.002"], 384, 0.00008, [0.002]),
    (["intent"], [f"{FACTOR}=0.5"], 384, 0.0005, [0.001]),
    (["upos", "intent"], [f"{FACTOR}=0.08"], 384, 0.0004, [0.005, 0.001]),
    # Wider encoders: a half and a quarter of the rates.
    (["upos", "intent"], [], 768, 0.00005, [0.0025, 0.0005]),
    (["upos"], [f"{LR}=0.002"], 768, 0.00008, [0.002]),
    # Narrower ones have the measured rates.
    (["upos"], [], 16, 0.0004, [0.005]),
]


@pytest.mark.parametrize(("tasks", "overrides", "width", "encoder", "decoders"), AUTO_RATES)
def test_learning_rates_follow_the_kinds_of_tasks_and_the_width_of_the_encoder(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tasks: list[str],
    overrides: list[str],
    width: int,
    encoder: float,
    decoders: list[float],
) -> None:
    config = load_config(
        [write_config(DATA={**dataset, "tasks": {task: TASKS[task] for task in tasks}})], overrides=overrides
    )
    rates = learning_rates(config, width=width)
    assert rates.encoder == pytest.approx(encoder)
    assert sorted(rates.decoders.values()) == pytest.approx(sorted(decoders))
    assert rates.encoder < rates.other <= 0.005


def test_an_encoder_without_a_rate_of_its_own_has_the_highest_rate_of_the_decoders(
    write_config: Callable[..., str], dataset: dict[str, Any]
) -> None:
    config = load_config(
        [write_config(DATA={**dataset, "tasks": {task: TASKS[task] for task in ("upos", "intent")}})],
        overrides=["training.learning_rate_scheduler.discriminative_fine_tuning=false"],
    )
    assert learning_rates(config, width=384).encoder == pytest.approx(0.005)


def test_the_log_tells_the_learning_rates(
    model_with: Callable[..., Model], caplog: pytest.LogCaptureFixture
) -> None:
    model = model_with("DATA.tasks.upos.learning_rate=0.02")
    assert model.encoder.width < MEASURED_WIDTH
    with caplog.at_level("INFO"):
        make_optimizer(model)
    assert "learning rates: encoder 0.0002 (2 times that for 'mood'); decoders 0.02 (upos), " in caplog.text


@pytest.mark.parametrize("updated", [True, False])
def test_pretrained_parts_of_decoders_have_the_learning_rate_of_the_encoder(
    model_with: Callable[..., Model], monkeypatch: pytest.MonkeyPatch, updated: bool
) -> None:
    model = model_with(
        "DATA.tasks.upos.learning_rate=0.02", f"encoder.update_weights_encoder={str(updated).lower()}"
    )
    decoder, fixed = model.decoder("upos"), model.decoder("lemma")
    own, tied = decoder.scores.weight, next(model.encoder.parameters())
    # One that only the decoder has, and one that it shares with the encoder.
    monkeypatch.setattr(decoder, "pretrained_parameters", lambda: [own, tied])
    fixed.requires_grad_(False)
    optimizer = make_optimizer(model)
    every = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(every) == len({id(parameter) for parameter in every}), "none is in two groups"
    found = {id(each): group["initial_lr"] for group in optimizer.param_groups for each in group["params"]}
    assert not any(id(parameter) in found for parameter in fixed.parameters())
    assert found[id(decoder.scores.bias)] == 0.02
    assert found.get(id(own)) == found.get(id(tied))
    assert (id(own) in found) == updated
    set_encoder_trainable(model, epoch=1)
    assert (own.requires_grad, tied.requires_grad, decoder.scores.bias.requires_grad) == (
        updated,
        updated,
        True,
    )


@pytest.mark.parametrize(
    ("overrides", "trainable"),
    [
        ([], [True, True]),
        (["training.learning_rate_scheduler.gradual_unfreezing=true"], [False, True]),
        (["encoder.update_weights_encoder=false"], [False, False]),
        (["training.learning_rate_scheduler.gradual_unfreezing=true", "training.num_epochs=1"], [True]),
    ],
)
def test_the_encoder_is_frozen_if_params_say_so(
    model_with: Callable[..., Model], overrides: list[str], trainable: list[bool]
) -> None:
    model = model_with(*overrides)
    for epoch, expected in enumerate(trainable, start=1):
        set_encoder_trainable(model, epoch=epoch)
        assert {parameter.requires_grad for parameter in model.encoder.parameters()} == {expected}
        assert all(parameter.requires_grad for parameter in model.decoders.parameters())


def test_the_options_of_adamw_reach_it(model_with: Callable[..., Model]) -> None:
    values = {"betas": [0.5, 0.75], "eps": 1e-3, "amsgrad": True, "weight_decay": 0.25}
    model = model_with(*(f"training.optimizer.{key}={json.dumps(value)}" for key, value in values.items()))
    for group in make_optimizer(model).param_groups:
        assert {key: list(group[key]) if key == "betas" else group[key] for key in values} == values
