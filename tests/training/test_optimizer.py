"""Learning rates."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from machamp_lite.config import load_config
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.optimizer import (
    make_optimizer,
    set_encoder_trainable,
    set_rates,
    slanted_triangle,
)
from machamp_lite.training.run import build_model, read_data


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
    optimizer = make_optimizer(model, model.config.params.training)
    set_rates(optimizer, step=5, steps=10, scheduler=model.config.params.training.learning_rate_scheduler)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.001])
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_without_discriminative_fine_tuning_there_is_one_learning_rate(model_with: Callable[..., Model]) -> None:
    model = model_with("training.learning_rate_scheduler.discriminative_fine_tuning=false")
    (group,) = make_optimizer(model, model.config.params.training).param_groups
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
    optimizer = make_optimizer(model, model.config.params.training)
    found = {id(each): group["initial_lr"] for group in optimizer.param_groups for each in group["params"]}
    for task, rate in expected.items():
        number = model.tasks.index(task)
        own = [*model.decoders[number].parameters(), *model.mixes[number].parameters()]
        assert {found[id(parameter)] for parameter in own} == {rate}
    peaks = [group["initial_lr"] for group in optimizer.param_groups]
    assert len(peaks) == len(set(peaks)), "one group a rate"
    factor = model.config.params.training.learning_rate_scheduler.decay_factor
    assert {found[id(parameter)] for parameter in model.encoder.parameters()} == {0.005 * factor}


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
    optimizer = make_optimizer(model, model.config.params.training)
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
    for group in make_optimizer(model, model.config.params.training).param_groups:
        assert {key: list(group[key]) if key == "betas" else group[key] for key in values} == values
