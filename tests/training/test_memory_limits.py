"""Batches that do not fit the memory of a GPU are split into micro-batches, with the same result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from machamp_lite.config import load_config
from machamp_lite.dataloading.batch import Batch
from machamp_lite.errors import MachampError, TrainingError
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.run import build_model, read_data, seed_everything
from machamp_lite.training.train_step import train_step
from machamp_lite.weighting.task_weighting import RandomWeights

Build = Callable[..., tuple[Model, list[Any]]]
# SGD with a learning rate of 0 keeps the gradients for the test.
NO_CLIPPING = "training.grad_norm=null"


@pytest.fixture
def build(
    write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str, treebank: Path
) -> Build:
    def build(*overrides: str) -> tuple[Model, list[Any]]:
        tasks = dataset["tasks"] | {
            "feats": {"task_type": "multiseq", "column_idx": 5},
            "bio": {"task_type": "seq_bio", "column_idx": 8},
            "degree": {"task_type": "regression", "column_idx": -1},
        }
        tasks["upos"] = {**tasks["upos"], "class_weights": "balanced", "loss_weight": 0.5}
        # A sentence without most labels, so that the tasks of micro-batches differ.
        treebank.write_text(treebank.read_text().replace("# mood = order\n", ""))
        config = load_config(
            [write_config(DATA={**dataset, "tasks": tasks})],
            parameters_config=tiny_params,
            overrides=overrides,
        )
        seed_everything(1)
        data = read_data(config)
        return build_model(config, data), list(data.train["DATA"])

    return build


def gradients_of(model: Model) -> dict[str, Tensor]:
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def that_holds(
    monkeypatch: pytest.MonkeyPatch, most: int, *, fails_late: bool, late: str = "total_loss"
) -> list[int]:
    """Simulates memory for a number of sentences, in the forward pass or later; returns the sizes that were tried."""
    tried: list[int] = []
    place = late if fails_late else "forward"
    original_forward, original = Model.forward, getattr(Model, place)

    def forward(self: Model, batch: Batch) -> Any:
        tried.append(len(batch.examples))
        return original_forward(self, batch)

    def failing(self: Model, *arguments: Any) -> Any:
        result = original(self, *arguments) if fails_late else forward(self, *arguments)
        # A process whose micro-batch is empty still has losses.
        if tried and tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return result

    monkeypatch.setattr(Model, "forward", forward)
    monkeypatch.setattr(Model, place, failing)
    return tried


@pytest.mark.parametrize("scheme", ["static", "uncertainty", "dwa", "random"])
@pytest.mark.parametrize("fails_late", [False, True])
def test_micro_batches_have_the_gradients_and_losses_of_the_whole_batch(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    fails_late: bool,
) -> None:
    def learn() -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        # In evaluation mode, so that dropout makes no difference.
        model, examples = build(f"training.task_weighting={scheme}", NO_CLIPPING)
        groups = [examples, examples[:2]]
        model.eval()
        multipliers = torch.tensor([0.5, 1.5, 1.0, 0.7, 1.3, 0.9, 1.1])
        monkeypatch.setattr(
            RandomWeights, "_set", lambda self, values: setattr(self, "multipliers", multipliers)
        )
        losses = train_step(model, groups, torch.optim.SGD(model.parameters(), lr=0.0))
        return [dict(each.tasks) for each in losses], gradients_of(model)

    expected_losses, expected = learn()
    assert not caplog.records or "does not fit" not in caplog.text
    tried = that_holds(monkeypatch, 2, fails_late=fails_late)
    losses, found = learn()
    assert max(tried) == 4 and min(tried) <= 2
    assert "a batch of 4 sentences" in caplog.text and "it is split into 2 micro-batches" in caplog.text
    for one, other in zip(losses, expected_losses, strict=True):
        assert one.keys() == other.keys()
        for task, loss in one.items():
            torch.testing.assert_close(loss, other[task], rtol=1e-5, atol=1e-6)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_sentence_that_does_not_fit_alone_ends_training_with_one_line(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = build()
    tried = that_holds(monkeypatch, 0, fails_late=False)
    with pytest.raises(
        TrainingError, match=r"treebank.conllu:\d+: a batch of 4 sentences .* sentence by sentence"
    ):
        train_step(model, [examples], torch.optim.SGD(model.parameters(), lr=0.1))
    assert min(tried) == 1


@pytest.mark.parametrize("fails_late", [False, True])
def test_a_batch_is_scored_and_decoded_in_halves(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails_late: bool
) -> None:
    def labels() -> dict[int, dict[str, list[Any]]]:
        # Without the number, which rounding changes.
        return {place: {**labels, "degree": []} for place, labels in predict_labels(model, examples)}

    model, examples = build()
    expected = labels()
    tried = that_holds(monkeypatch, 1, fails_late=fails_late, late="labels")
    assert labels() == expected
    assert max(tried) == 4 and tried.count(1) == 4
    assert "it is predicted in halves" in caplog.text


def test_a_sentence_that_cannot_be_predicted_alone_is_reported_in_one_line(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = build()
    that_holds(monkeypatch, 0, fails_late=False)
    with pytest.raises(MachampError, match=r"cannot score its input .*out of memory"):
        list(predict_labels(model, examples))
