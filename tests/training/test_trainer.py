"""Training steps and the loop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_metrics import metrics_of

from machamp_lite.acceleration import accelerate
from machamp_lite.config import load_config
from machamp_lite.errors import TrainingError
from machamp_lite.model.multitask_model import Model
from machamp_lite.training import run as runs
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.train_step import train_step

# Losses of five steps with a fixed seed: a refactoring must not change them.
GOLDEN = Path(__file__).with_name("golden_losses.json")


@pytest.fixture
def load(
    write_config: Callable[..., str], dataset: dict[str, Any], pair_dataset: dict[str, Any], tiny_params: str
) -> Callable[..., Any]:
    def load(*overrides: str) -> Any:
        # The golden losses are those of decoders in this order, which random weights depend on.
        ordered = json.loads(json.dumps({"WORDS": dataset, "PAIRS": pair_dataset}, sort_keys=True))
        path = write_config(**ordered)
        return load_config([path], parameters_config=tiny_params, overrides=overrides)

    return load


def model_and_batch(config: Any) -> tuple[Model, Any]:
    runs.seed_everything(3)
    data = runs.read_data(config)
    model = accelerate(runs.build_model(config, data)).train()
    return model, model.batch([*data.train["WORDS"], *data.train["PAIRS"]], only_annotated=True)


def step(model: Model, batch: Any, optimizer: Any) -> dict[str, torch.Tensor]:
    (losses,) = train_step(model, [batch.examples], optimizer)
    return dict(losses.tasks)


@pytest.mark.skipif(torch.__version__.startswith("2.6."), reason="the golden losses are those of a newer torch")
def test_five_seeded_steps_give_the_golden_losses(load: Callable[..., Any]) -> None:
    rates = ["training.optimizer.lr=0.003", "training.learning_rate_scheduler.decay_factor=0.1"]
    # Padded, because dropout draws other numbers for packed rows.
    model, batch = model_and_batch(
        load(*rates, "encoder.packing=false", "decoders.classification.pooling=first")
    )
    optimizer = make_optimizer(model)
    losses = [
        {task: loss.item() for task, loss in step(model, batch, optimizer).items()} for _ in range(5)
    ]
    golden = json.loads(GOLDEN.read_text())
    for found, expected in zip(losses, golden, strict=True):
        assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_total_is_exactly_the_weighted_sum(load: Callable[..., Any], weight: float) -> None:
    model, batch = model_and_batch(load(f"WORDS.tasks.upos.loss_weight={weight}"))
    losses = model.losses(batch, model(batch))
    expected = sum(loss * (weight if task == "upos" else 1.0) for task, loss in losses.items())
    assert model.total_loss(losses).item() == pytest.approx(expected.item(), rel=1e-6)
    assert set(losses) == {"upos", "lemma", "tree", "mood", "same"}


def test_a_task_with_weight_zero_changes_no_gradient(load: Callable[..., Any]) -> None:
    def encoder_gradients(model: Model, batch: Any, tasks: set[str]) -> list[torch.Tensor]:
        losses = model.losses(batch, model(batch))
        model.total_loss({task: loss for task, loss in losses.items() if task in tasks}).backward()
        return [
            parameter.grad.clone() for parameter in model.encoder.parameters() if parameter.grad is not None
        ]

    everything = {"upos", "lemma", "tree", "mood", "same"}
    switched_off = encoder_gradients(*model_and_batch(load("WORDS.tasks.upos.loss_weight=0")), everything)
    absent = encoder_gradients(*model_and_batch(load()), everything - {"upos"})
    present = encoder_gradients(*model_and_batch(load()), everything)
    assert all(torch.equal(one, other) for one, other in zip(switched_off, absent, strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(switched_off, present, strict=True))


def test_gradients_are_clipped_to_the_norm(load: Callable[..., Any]) -> None:
    def moved(norm: str) -> float:
        config = load(f"training.grad_norm={norm}", "training.optimizer.lr=0.001")
        model, batch = model_and_batch(config)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0, fused=True)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        step(model, batch, optimizer)
        squares = [((a - b) ** 2).sum() for a, b in zip(model.parameters(), before, strict=True)]
        return torch.stack(squares).sum().sqrt().item()

    assert moved("0.01") == pytest.approx(0.01, rel=1e-3)
    assert moved("null") > 0.1


def test_accumulated_batches_have_the_gradient_of_their_mean_loss(load: Callable[..., Any]) -> None:
    def gradients(model: Model) -> list[torch.Tensor | None]:
        return [parameter.grad for parameter in model.parameters()]

    config = load("training.grad_norm=null")
    runs.seed_everything(3)
    data = runs.read_data(config)
    # Without the dropout inside the transformer.
    model = runs.build_model(config, data).eval()
    examples = [data.train[name] for name in ("WORDS", "PAIRS")]
    batches = [model.batch(each, only_annotated=True) for each in examples]
    totals = [model.total_loss(model.losses(batch, model(batch))) for batch in batches]
    torch.stack(totals).mean().backward()
    expected = [None if grad is None else grad.clone() for grad in gradients(model)]
    train_step(model, examples, torch.optim.SGD(model.parameters(), lr=0.0))
    for found, wanted in zip(gradients(model), expected, strict=True):
        assert (found is None) == (wanted is None)
        if found is not None and wanted is not None:
            torch.testing.assert_close(found, wanted)
    assert sum(grad is not None for grad in expected) > 10


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_steps_of_the_schedule_are_updates(
    load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    groups: list[int] = []
    steps: list[tuple[int, int]] = []

    def recording(model: Model, batches: Any, optimizer: Any, **options: Any) -> Any:
        groups.append(len(batches))
        return train_step(model, batches, optimizer, **options)

    monkeypatch.setattr("machamp_lite.training.trainer.train_step", recording)
    monkeypatch.setattr(
        "machamp_lite.training.trainer.set_rates",
        lambda optimizer, **options: steps.append((options["step"], options["steps"])),
    )
    # Four sentences and four pairs, each in a separate batch.
    config = load("batching.batch_size=1", f"training.accumulation_steps={size}")
    runs.train(config, tmp_path / "run", progress=False)
    epoch = [size] * (8 // size) + ([8 % size] if 8 % size else [])
    assert groups == epoch * 2
    assert steps == [(step, len(groups)) for step in range(len(groups))]


def test_a_seed_makes_a_run_repeatable(load: Callable[..., Any], tmp_path: Path) -> None:
    metrics = []
    for name in ("one", "other"):
        config = load("encoder.dropout=0.3")
        runs.train(config, tmp_path / name, progress=False)
        metrics.append(metrics_of(tmp_path / name))
    assert metrics[0] == metrics[1]
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("one", "other")]
    assert weights[0] == weights[1]


def test_the_best_epoch_is_the_one_that_is_kept(
    load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = iter([0.5, 0.9, 0.9, 0.2])
    monkeypatch.setattr("machamp_lite.training.trainer.sum_of_main_metrics", lambda scores, tasks: next(sums))
    monkeypatch.setattr(runs, "save_model", lambda model, folder: None)
    monkeypatch.setattr(runs, "load_best_weights", lambda model, folder: None)
    calls: list[bool] = []
    original = runs.Trainer

    def recording(*, after_epoch: Any, **options: Any) -> Any:
        def recording_after_epoch(state: Any) -> None:
            calls.append(state.best_epoch == state.epoch)
            after_epoch(state)

        return original(after_epoch=recording_after_epoch, **options)

    monkeypatch.setattr(runs, "Trainer", recording)
    runs.train(load("training.num_epochs=4"), tmp_path / "run", progress=False)
    assert calls == [True, True, False, False]


def test_a_loss_that_is_not_finite_is_reported_with_the_sentences_of_its_batch(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    config = load("training.optimizer.lr=1e30", "training.grad_norm=null", "training.num_epochs=5")
    with pytest.raises(TrainingError, match=r"the loss of .* in the batch with .*:\d+.*optimizer\.lr"):
        runs.train(config, tmp_path / "run", progress=False)


def test_bf16_trains_and_predicts(load: Callable[..., Any], tmp_path: Path) -> None:
    scores = runs.train(load("training.precision=bf16"), tmp_path / "run", progress=False)
    assert set(scores) == {"WORDS", "PAIRS"}
