"""Tasks with any number of labels per item are trained with the losses of their options."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.training import run as runs


@pytest.fixture
def load(write_config: Callable[..., str], pair_dataset: dict[str, Any], tiny_params: str) -> Callable[..., Any]:
    def load(task_type: str = "multiclas", **options: Any) -> Any:
        tasks = {"topics": {"task_type": task_type, "column_idx": 3, **options}}
        return load_config([write_config(D={**pair_dataset, "tasks": tasks})], parameters_config=tiny_params)

    return load


def loss_of(config: Any) -> float:
    runs.seed_everything(1)
    data = runs.read_data(config)
    model = runs.build_model(config, data).eval()
    batch = model.batch(data.train["D"], only_annotated=True)
    with torch.no_grad():
        return model.losses(batch, model(batch))["topics"].item()


@pytest.mark.parametrize(
    "options",
    [
        {"asymmetric_loss": {}},
        {"asymmetric_loss": {"margin": 0.0}, "class_weights": "balanced"},
        {"distribution_balanced_loss": {}},
        {"distribution_balanced_loss": {"mu": 0.9}, "focal_gamma": 2},
    ],
)
def test_every_option_changes_the_loss(load: Callable[..., Any], options: dict[str, Any]) -> None:
    reduced = [dict(list(options.items())[:count]) for count in range(len(options) + 1)]
    losses = [loss_of(load(**some)) for some in reduced]
    assert all(0 < loss < 10 for loss in losses) and len({round(loss, 5) for loss in losses}) == len(losses)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"asymmetric_loss": {}, "focal_gamma": 1.0}, "asymmetric_loss: found {"),
        ({"asymmetric_loss": {}, "distribution_balanced_loss": {}}, "each replaces the binary cross-entropy"),
        ({"distribution_balanced_loss": {}, "class_weights": "sqrt"}, "both correct for the frequency of labels"),
        ({"asymmetric_loss": {"marign": 0.1}}, "did you mean 'margin'?"),
        ({"asymmetric_loss": {"margin": 1.0}}, "margin: "),
        ({"asymmetric_loss": True}, "asymmetric_loss: "),
        ({"distribution_balanced_loss": {"negative_scale": 0}}, "negative_scale: "),
        ({"task_type": "classification", "asymmetric_loss": {}}, "asymmetric_loss"),
    ],
)
def test_what_means_nothing_is_refused(load: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**options)
    (line,) = caught.value.faults
    assert "D -> tasks -> topics" in line and message in line
    assert "class 'machamp" not in line and "AsymmetricLoss(" not in line


def test_oversampling_does_not_correct_again(load: Callable[..., Any], write_config: Callable[..., str]) -> None:
    config = load(distribution_balanced_loss={})
    document = {"D": {**config.datasets["D"].model_dump(exclude_unset=True), "oversample": "topics"}}
    with pytest.raises(ConfigError, match="'topics' has distribution_balanced_loss too"):
        load_config([write_config(**document)])
