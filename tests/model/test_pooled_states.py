"""Poolings in models: what tasks read, in batches, after saving, and in models from before there was a choice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hidden_states import encode
from predicted_words import predict_words

from machamp_lite.acceleration import accelerate
from machamp_lite.config import load_config
from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import POOLINGS
from machamp_lite.inference.ensembles import load_predictor as load
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import save_model
from machamp_lite.nn import pooling as pooling_module
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.run import build_model, read_data, seed_everything
from machamp_lite.training.warm_start import reinitialized_tasks

WORD_TASKS = {
    f"w_{pooling}": {"task_type": "seq", "column_idx": 3, "pooling": pooling} for pooling in POOLINGS["word"]
}
TEXT_TASKS = {
    f"t_{pooling}": {"task_type": "classification", "column_idx": 2, "pooling": pooling}
    for pooling in POOLINGS["sentence"]
}


@pytest.fixture
def configure(
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    write_config: Callable[..., str],
    tiny_params: str,
    encoders: dict[str, str],
) -> Callable[..., Config]:
    def build(*overrides: str, kind: str = "wordpiece", **changes: Any) -> Config:
        datasets = {
            "WORDS": dataset | {"tasks": changes.get("words", WORD_TASKS)},
            "PAIRS": pair_dataset | {"tasks": changes.get("texts", TEXT_TASKS)},
        }
        overrides = (f"transformer_model={encoders[kind]}", *overrides)
        return load_config([write_config(**datasets)], parameters_config=tiny_params, overrides=overrides)

    return build


def make(config: Config, *, is_accelerated: bool = False) -> tuple[Model, list[Any]]:
    seed_everything(1)
    data = read_data(config)
    model = build_model(config, data)
    with torch.no_grad():
        for module in model.attention:
            for query in module.parameters():
                query.normal_()
    examples = [example for own in data.train.values() for example in own]
    return (accelerate(model) if is_accelerated else model), examples


def scores(model: Model, examples: list[Any]) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return dict(model.eval()(model.batch(examples, only_annotated=False)))


@pytest.mark.parametrize("kind", ["byt5", "gpt2", "canine"])
@pytest.mark.parametrize("long_input", ["truncate", "stride"])
def test_a_batch_gives_what_its_sentences_give_alone(
    configure: Callable[..., Config], kind: str, long_input: str
) -> None:
    overrides = (f"encoder.long_input={long_input}", "encoder.max_input_length=12")
    model, examples = make(configure(*overrides, kind=kind))
    together, alone = scores(model, examples), [scores(model, [example]) for example in examples]
    assert together.keys() == WORD_TASKS.keys() | TEXT_TASKS.keys()
    for task, found in together.items():
        expected = torch.cat([own[task] for own in alone if task in own])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_packed_rows_give_what_padded_ones_give(configure: Callable[..., Config]) -> None:
    packed, padded = (
        scores(*make(configure(f"encoder.packing={mode}", kind="bpe"), is_accelerated=True))
        for mode in ("true", "false")
    )
    for task, found in packed.items():
        torch.testing.assert_close(found, padded[task], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "max", "first_last", "first"])
def test_states_of_words_are_those_of_the_transformer(configure: Callable[..., Config], pooling: Any) -> None:
    model, examples = make(configure(kind="byt5"))
    # Bytes are subwords.
    example = next(example for example in examples if example.dataset == "WORDS")
    last = model.encoder.layers - 1
    with torch.no_grad():
        found = encode(model.eval().encoder, model.batch([example], only_annotated=False), [last], words=pooling)
        ids = torch.from_numpy(example.segments.subword_ids).unsqueeze(0)
        states = model.encoder.transformer(input_ids=ids).last_hidden_state[0]
    spans = list(zip(example.segments.word_starts, example.segments.word_ends, strict=True))
    assert any(start < end for start, end in spans)
    combine: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "first": lambda span: span[0],
        "first_last": lambda span: span[[0, -1]].mean(0),
        "mean": lambda span: span.mean(0),
        "max": lambda span: span.max(0).values,
    }
    expected = torch.stack([combine[pooling](states[start : end + 1]) for start, end in spans])
    torch.testing.assert_close(found.words[0], expected, rtol=1e-4, atol=1e-5)


def test_every_query_is_trained_at_the_rate_of_its_task(configure: Callable[..., Config]) -> None:
    texts = TEXT_TASKS | {"t_attention": TEXT_TASKS["t_attention"] | {"learning_rate": 0.125}}
    model, examples = make(configure(texts=texts))
    batch = model.train().batch(examples, only_annotated=True)
    sum(model.losses(batch, model(batch)).values()).backward()  # type: ignore[union-attr]
    (query,) = model.attention.parameters()
    assert query.grad is not None and bool(query.grad.any())
    groups = make_optimizer(model).param_groups
    rates = [group["initial_lr"] for group in groups for one in group["params"] if one is query]
    assert rates == [0.125]


def test_nothing_is_gathered_that_no_task_of_the_batch_reads(
    configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {
        "upos": {"task_type": "seq", "column_idx": 3},
        "xpos": {"task_type": "seq", "column_idx": 4},
        "last": {"task_type": "seq", "column_idx": 3, "layers_to_use": [-1]},
    }
    model, examples = make(configure(words=words))
    calls: list[tuple[int, str]] = []
    original = pooling_module.pool

    def record(layers: Any, *arguments: Any, pooling: Any, **options: Any) -> torch.Tensor:
        calls.append((len(layers), pooling))
        return original(layers, *arguments, pooling=pooling, **options)

    monkeypatch.setattr("machamp_lite.model.encoder.pool", record)
    scores(model, [example for example in examples if example.dataset == "WORDS"])
    assert sorted(calls) == [(1, "last"), (3, "last")]


def test_a_saved_model_predicts_the_same(configure: Callable[..., Config], tmp_path: Path) -> None:
    model, _ = make(configure())
    save_model(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    examples = make(configure())[1]
    before, after = scores(model, examples), scores(loaded, examples)
    for task, expected in before.items():
        torch.testing.assert_close(after[task], expected, rtol=1e-4, atol=1e-5)


def test_older_models_are_read_at_the_last_subword_of_words_and_the_first_of_texts(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    words = {"slots": {"task_type": "seq_bio", "column_idx": 8, "pooling": "last"}}
    texts = {"same": {"task_type": "classification", "column_idx": 2, "pooling": "first"}}
    model, _ = make(configure(words=words, texts=texts))
    save_model(model, tmp_path / "model")
    expected = predict_words(load(tmp_path / "model"), [["a", "dogs"]], dataset="WORDS")
    path = tmp_path / "model" / "config.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for dataset in document["datasets"].values():
        for options in dataset["tasks"].values():
            del options["pooling"]
    for options in document["params"]["decoders"].values():
        options.pop("pooling", None)
    path.write_text(json.dumps(document), encoding="utf-8")
    older = load(tmp_path / "model")
    assert {name: task.pooling_or_default for name, task in older.config.tasks().items()} == {
        "slots": "last",
        "same": "first",
    }
    assert predict_words(older, [["a", "dogs"]], dataset="WORDS") == expected


@pytest.mark.parametrize(("pooling", "is_kept"), [("max", True), ("attention", False)])
def test_a_decoder_is_kept_with_another_pooling_except_attention(
    configure: Callable[..., Config], pooling: str, is_kept: bool
) -> None:
    models = [
        make(configure(texts={"same": {"task_type": "classification", "column_idx": 2, "pooling": each}}))[0]
        for each in ("first", pooling)
    ]
    reasons = reinitialized_tasks(models[1], models[0])
    assert reasons.get("same") == (None if is_kept else "its pooling has changed from first to attention")
