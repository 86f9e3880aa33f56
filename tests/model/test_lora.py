"""Encoders that learn by low-rank adapters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hidden_states import encode
from tiny_encoders import Encoders

from machamp_lite.config import load_config
from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model, save_model
from machamp_lite.nn import lora
from machamp_lite.training import trainer
from machamp_lite.training.optimizer import learning_rates, make_optimizer, set_encoder_trainable
from machamp_lite.training.run import build_model, read_data, seed_everything, train
from machamp_lite.training.train_step import train_step

LORA = {"rank": 4, "alpha": 8, "dropout": 0.1, "target_modules": None}


@pytest.fixture
def configure(
    encoders: Encoders, write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str
) -> Callable[..., Config]:
    def build(kind: str, *overrides: str, options: dict[str, Any] | None = LORA, **tasks: Any) -> Config:
        dataset["tasks"] = dataset["tasks"] | tasks
        chosen = [f"transformer_model={encoders[kind]}", f"encoder.lora={json.dumps(options)}", *overrides]
        return load_config([write_config(DATA=dataset)], parameters_config=tiny_params, overrides=chosen)

    return build


def make(config: Config) -> tuple[Model, list[Any]]:
    seed_everything(1)
    data = read_data(config)
    return build_model(config, data), data.train["DATA"]


def learn(model: Model, examples: list[Any], *, steps: int = 3) -> None:
    optimizer = make_optimizer(model)
    set_encoder_trainable(model, epoch=1)
    for _ in range(steps):
        train_step(model.train(), [examples], optimizer)


@pytest.mark.parametrize(
    ("kind", "targets", "expected"),
    [
        # In each of two layers four maps 32 -> 32 and two between 32 and 64; an adapter has rank * (in + out) weights.
        ("wordpiece", None, 2 * 4 * (4 * (32 + 32) + 2 * (32 + 64))),
        ("wordpiece", ["query", "value"], 2 * 4 * 2 * (32 + 32)),
        ("wordpiece", ["encoder.layer.1.attention.self.query"], 4 * (32 + 32)),
        # GPT-2 has one map for queries, keys and values.
        ("gpt2", None, 2 * 4 * ((32 + 96) + (32 + 32) + 2 * (32 + 128))),
        ("t5", ["q"], 2 * 4 * (32 + 32)),
    ],
)
def test_adapters_alone_are_trained(
    configure: Callable[..., Config],
    kind: str,
    targets: list[str] | None,
    expected: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        model, _ = make(configure(kind, options=LORA | {"target_modules": targets}))
    assert f"lora: {expected} parameters of the encoder are trained" in caplog.text
    optimizer = make_optimizer(model)
    for epoch in (1, 2):
        set_encoder_trainable(model, epoch=epoch)
        assert sum(value.numel() for value in model.encoder.parameters() if value.requires_grad) == expected
    assert all(value.requires_grad for value in model.decoders.parameters())
    others = sum(value.numel() for name, value in model.named_parameters() if not name.startswith("encoder."))
    learnt = sum(value.numel() for group in optimizer.param_groups for value in group["params"])
    assert learnt == expected + others
    # Of what is pretrained, adapters alone.
    peak = learning_rates(model.config, width=model.encoder.width).encoder
    adapters = [
        value for group in optimizer.param_groups if group["initial_lr"] == peak for value in group["params"]
    ]
    assert sum(value.numel() for value in adapters) == expected


def test_fresh_adapters_change_nothing(configure: Callable[..., Config]) -> None:
    with_adapters, examples = make(configure("wordpiece"))
    without, _ = make(configure("wordpiece", options=None))
    batch = without.eval().batch(examples, only_annotated=True)
    with torch.no_grad():
        left, right = (encode(model.eval().encoder, batch, [0, 1, 2]) for model in (with_adapters, without))
    assert torch.equal(left.words, right.words)


@pytest.mark.parametrize(
    ("kind", "task"),
    [("wordpiece", "mlm"), ("t5", "seq2seq"), ("gpt2", None), ("bart", None), ("canine", None)],
)
def test_steps_change_adapters_and_leave_all_else_of_the_encoder(
    configure: Callable[..., Config], kind: str, task: str | None, tmp_path: Path
) -> None:
    own = {
        "mlm": {"hidden": {"task_type": "mlm"}},
        "seq2seq": {"reply": {"task_type": "seq2seq", "column_idx": -1}},
    }
    model, examples = make(
        configure(kind, "decoders.seq2seq.max_output_length=8", **own.get(task or "", {}))
    )
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    learn(model, examples)
    frozen = {id(value) for value in model.encoder.frozen_parameters()}
    for name, value in model.named_parameters():
        assert torch.equal(before[name], value) == (id(value) in frozen), name
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    batches = [one.eval().batch(examples, only_annotated=False) for one in (model, loaded)]
    with torch.no_grad():
        states = [
            encode(one.encoder, batch, one.used_layers) for one, batch in zip((model, loaded), batches, strict=True)
        ]
    assert torch.equal(states[0].words, states[1].words)
    if task is None:
        assert dict(predict_labels(model, examples)) == dict(predict_labels(loaded, examples))


def test_a_resumed_run_is_the_same_bit_for_bit(
    configure: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("wordpiece", "training.num_epochs=3", "encoder.dropout=0.1")
    train(config, tmp_path / "whole", progress=False)

    def stop(model: Model, *, epoch: int) -> None:
        if epoch == 3:
            raise KeyboardInterrupt
        set_encoder_trainable(model, epoch=epoch)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "set_encoder_trainable", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "stopped", progress=False)
    train(config, tmp_path / "stopped", progress=False, resume=True)
    for name in ("model.safetensors", "labels.json"):
        whole, stopped = (tmp_path / run / "model" / name for run in ("whole", "stopped"))
        assert whole.read_bytes() == stopped.read_bytes()


@pytest.mark.parametrize("options", [None, LORA])
def test_a_run_from_a_former_model_starts_from_what_its_adapters_had_learnt(
    configure: Callable[..., Config], tmp_path: Path, options: dict[str, Any] | None
) -> None:
    init_model, examples = make(configure("wordpiece"))
    learn(init_model, examples)
    save_model(init_model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    config = configure("wordpiece", options=options)
    model = build_model(config, read_data(config, loaded), init_model=loaded).eval()
    with torch.no_grad():
        states = [
            encode(one.eval().encoder, one.batch(examples, only_annotated=False), [0, 1, 2])
            for one in (init_model, model)
        ]
    torch.testing.assert_close(states[0].words, states[1].words, rtol=1e-4, atol=1e-5)
    adapters = [name for name, _ in model.encoder.named_parameters() if "lora" in name]
    assert bool(adapters) == (options is not None)
    learning = [name for name, value in model.encoder.named_parameters() if value.requires_grad]
    assert learning == (adapters or [name for name, _ in model.encoder.named_parameters()])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LORA | {"rank": 0}, "encoder -> lora -> rank: expected a number above 0, found 0"),
        (LORA | {"ranks": 4}, "encoder -> lora -> ranks: unknown key; did you mean 'rank'?"),
        ({"rank": 4}, "encoder -> lora -> alpha: missing, and has no default"),
        (LORA | {"target_modules": []}, "target_modules: expected a list of 1 or more items, found []"),
        (LORA | {"target_modules": ["querry"]}, "no linear layer 'querry'; did you mean 'query'?"),
        (
            LORA | {"target_modules": ["LayerNorm"]},
            "no linear layer 'LayerNorm'; known: dense, key, query, value",
        ),
        (4, "encoder -> lora: expected an object {...}, found 4"),
    ],
)
def test_a_wrong_option_is_reported_in_plain_words(
    configure: Callable[..., Config], options: Any, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(configure("wordpiece", options=options))
    assert any(message in fault for fault in caught.value.faults), caught.value.faults


def test_adapters_of_a_frozen_encoder_are_a_config_fault(configure: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match="expected update_weights_encoder to be true"):
        configure("wordpiece", "encoder.update_weights_encoder=false")


def test_without_peft_one_line_says_what_to_install(
    configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lora, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'machamp_lite\[lora\]'") as caught:
        make(configure("wordpiece"))
    assert len(caught.value.faults) == 1
    make(configure("wordpiece", options=None))
