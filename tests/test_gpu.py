"""What only a GPU can show; without one it is skipped."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tiny_encoders import KINDS, Encoders

from machamp_lite.acceleration import accelerate
from machamp_lite.config import load_config
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.run import build_model, read_data, seed_everything
from machamp_lite.training.train_step import train_step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

TASKS = {
    "feats": {"task_type": "multiseq", "column_idx": 5, "class_weights": "balanced"},
    "bio": {"task_type": "seq_bio", "column_idx": 8},
    "degree": {"task_type": "regression", "column_idx": -1},
    "hidden": {"task_type": "mlm"},
}
Build = Callable[..., tuple[Model, list[Any]]]


@pytest.fixture
def build(
    write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str, encoders: Encoders
) -> Build:
    def build(*overrides: str, kind: str = "wordpiece") -> tuple[Model, list[Any]]:
        tasks = dataset["tasks"] | (TASKS if kind == "wordpiece" else {})
        path = write_config(DATA={**dataset, "tasks": tasks})
        overrides = (f"transformer_model={encoders[kind]}", *overrides)
        config = load_config([path], parameters_config=tiny_params, overrides=overrides)
        seed_everything(1)
        data = read_data(config)
        model = build_model(config, data)
        accelerate(model, seen_subwords=(examples.subword_ids() for examples in data.train.values()))
        return model, list(data.train["DATA"])

    return build


@pytest.fixture
def no_waiting() -> Iterator[Callable[[], None]]:
    def begin() -> None:
        torch.cuda.set_sync_debug_mode("error")

    yield begin
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("scheme", ["static", "uncertainty", "dwa", "random"])
@pytest.mark.parametrize("packing", ['"auto"', "true"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_waits_for_the_gpu(
    build: Build, no_waiting: Callable[[], None], scheme: str, packing: str, precision: str
) -> None:
    options = {
        "training.task_weighting": scheme,
        "encoder.packing": packing,
        "training.precision": precision,
    }
    model, examples = build(*(f"{key}={value}" for key, value in options.items()))
    model.to("cuda").train()
    optimizer = make_optimizer(model)
    # The first one sets up libraries and the optimizer's state.
    train_step(model, [examples], optimizer)
    no_waiting()
    for part in (examples, examples[:2]):
        train_step(model, [part], optimizer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_kind_of_encoder_learns_and_predicts(build: Build, kind: str, precision: str) -> None:
    model, examples = build(f"training.precision={precision}", kind=kind)
    model.to("cuda").train()
    optimizer = make_optimizer(model)
    losses = train_step(model, [examples], optimizer)[0].tasks
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert len(dict(predict_labels(model, examples))) == len(examples)


def test_losses_and_labels_are_those_of_the_cpu(build: Build) -> None:
    found = []
    for device in ("cpu", "cuda"):
        model, examples = build("training.precision=fp32")
        model.to(device).eval()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
        losses = train_step(model, [examples], optimizer)[0].tasks
        labels = {
            place: {task: own for task, own in labels.items() if task in ("upos", "lemma", "tree", "bio")}
            for place, labels in predict_labels(model, examples)
        }
        found.append(({task: loss.item() for task, loss in losses.items()}, labels))
    (expected, labels), (on_gpu, labels_on_gpu) = found
    assert on_gpu == pytest.approx(expected, rel=1e-3)
    assert labels_on_gpu == labels


def test_a_batch_without_room_is_learnt_from_in_parts(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    model, examples = build("training.precision=fp32")
    model.to("cuda").train()
    optimizer = make_optimizer(model)
    many = examples * 3000
    train_step(model, [examples], optimizer)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train_step(model, [many], optimizer)
    whole = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.6 * whole / total)
    try:
        train_step(model, [many], optimizer)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "does not fit the memory of the GPU" in caplog.text
