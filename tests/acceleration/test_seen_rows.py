"""Training the vectors of seen subwords alone comes to the same as training all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_encoders import KINDS, Encoders
from torch import nn

from machamp_lite.acceleration import seen_rows
from machamp_lite.acceleration.reduced_vocabulary import ReducedVocabularyEmbedding
from machamp_lite.acceleration.seen_rows import reduce_vocabulary, restore_vocabulary
from machamp_lite.config import load_config
from machamp_lite.config.schema import Config
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model, save_model, weights_of
from machamp_lite.training import run as runs
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.trainer import train_step

TRAIN = """\
# mood = statement
1\tThe\tthe\tDET\tDT\t_\t2\tdet\tO\t_
2\told\told\tADJ\tJJ\t_\t0\troot\tO\t_

# mood = order
1\told\told\tADJ\tJJ\t_\t0\troot\tO\t_
2\told\told\tADJ\tJJ\t_\t1\tamod\tO\t_

# mood = order
1\tthe\tthe\tDET\tDT\t_\t0\troot\tO\t_

"""


@pytest.fixture
def seen(tmp_path: Path, dataset: dict[str, Any]) -> dict[str, Any]:
    """A dataset that trains on two words, with dev data of many others."""
    path = tmp_path / "few.conllu"
    path.write_text(TRAIN, encoding="utf-8")
    return {**dataset, "train_data_path": str(path)}


@pytest.fixture
def configure(
    encoders: Encoders, seen: dict[str, Any], write_config: Callable[..., str], tiny_params: str
) -> Callable[..., Config]:
    def build(*overrides: str, kind: str = "wordpiece", **tasks: Any) -> Config:
        path = write_config(DATA={**seen, "tasks": tasks or seen["tasks"]})
        overrides = (f"transformer_model={encoders[kind]}", *overrides)
        return load_config([path], parameters_config=tiny_params, overrides=overrides)

    return build


def make(config: Config) -> tuple[Model, runs.RunData]:
    runs.seed_everything(1)
    data = runs.read_data(config)
    return runs.build_model(config, data), data


def table_of(model: Model) -> Any:
    return model.pretrained.encoder.get_input_embeddings()


SCHEDULER = "training.learning_rate_scheduler"
RUNS = {
    "defaults": [],
    "no decay": ["training.optimizer.weight_decay=0"],
    "much decay": ["training.optimizer.weight_decay=20"],
    "much decay, late": ["training.optimizer.weight_decay=20", f"{SCHEDULER}.gradual_unfreezing=true"],
    "one rate": [f"{SCHEDULER}.discriminative_fine_tuning=false", "training.optimizer.lr=0.001"],
    "steep": [f"{SCHEDULER}.cut_frac=0.6", f"{SCHEDULER}.decay_factor=0.5", "training.grad_norm=0.1"],
    "accumulation": ["training.accumulation_steps=2", "training.optimizer.weight_decay=5"],
    "padded, and not clipped": ["encoder.packing=false", "training.grad_norm=null"],
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_the_losses_scores_and_weights_of_one_that_trains_all(
    configure: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    options = ["training.num_epochs=4", "batching.batch_size=1", "encoder.dropout=0.2", *RUNS[name]]
    config = configure(*options)
    caplog.set_level("INFO")
    runs.train(config, tmp_path / "rows", progress=False)
    assert "subwords are in the training data: the others' vectors only decay" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(runs, "reduce_vocabulary", lambda *_: None)
        runs.train(config, tmp_path / "all", progress=False)

    found, expected = (json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("rows", "all"))
    for epoch, wanted in zip(found, expected, strict=True):
        assert epoch["train"] == pytest.approx(wanted["train"], rel=1e-5)
        assert epoch["dev"]["DATA"].keys() == wanted["dev"]["DATA"].keys()
        for task, scores in wanted["dev"]["DATA"].items():
            assert epoch["dev"]["DATA"][task] == pytest.approx(scores, rel=1e-5)
    weights, wanted_weights = (
        load_file(tmp_path / run / "model/model.safetensors") for run in ("rows", "all")
    )
    assert weights.keys() == wanted_weights.keys()
    for key, value in wanted_weights.items():
        # AdamW divides gradients by their size: of the smallest nothing but rounding is left.
        margin = 1e-6 if "word_embeddings" in key else 5e-5
        torch.testing.assert_close(weights[key], value, rtol=1e-5, atol=margin, msg=key)
    assert (tmp_path / "rows/DATA.out").read_bytes() == (tmp_path / "all/DATA.out").read_bytes()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"canine", "bart"}))
def test_the_encoder_of_every_kind_has_the_same_states(configure: Callable[..., Config], kind: str) -> None:
    model, data = make(configure(kind=kind))
    names = {name: (value.shape, value.dtype) for name, value in weights_of(model).items()}
    expected = []
    for training in (True, False):
        batch = model.batch(data.train["DATA"] if training else data.dev["DATA"], only_annotated=True)
        torch.manual_seed(2)
        expected.append((batch, model.train(training).encoder(batch, model.used_layers)))
    reduce_vocabulary(model, data.train)
    assert isinstance(table_of(model), ReducedVocabularyEmbedding)
    for training, (batch, wanted) in zip((True, False), expected, strict=True):
        torch.manual_seed(2)
        found = model.train(training).encoder(batch, model.used_layers)
        assert torch.equal(found.words, wanted.words)
        assert torch.equal(found.sentences, wanted.sentences)
    assert {name: (value.shape, value.dtype) for name, value in weights_of(model).items()} == names
    restore_vocabulary(model)
    assert type(table_of(model)) is nn.Embedding
    assert {name: (value.shape, value.dtype) for name, value in weights_of(model).items()} == names


def scaled(model: Model) -> None:
    table_of(model).scale_grad_by_freq = True


def tied(model: Model) -> None:
    model.mixes[0].other = table_of(model)


def bounded(model: Model) -> None:
    table_of(model).max_norm = 1.0


REFUSED: dict[str, tuple[dict[str, Any], Callable[[Model], None]]] = {
    "a frozen encoder": ({"overrides": ["encoder.update_weights_encoder=false"]}, lambda model: None),
    "adapters": (
        {"overrides": ['encoder.lora={"rank": 2, "alpha": 2, "dropout": 0, "target_modules": null}']},
        lambda model: None,
    ),
    "masked words": ({"text": {"task_type": "mlm"}}, lambda model: None),
    "texts": (
        {"kind": "t5", "reply": {"task_type": "seq2seq", "column_idx": -1}},
        lambda model: None,
    ),
    "characters": ({"kind": "canine"}, lambda model: None),
    "an embedding of its own kind": ({"kind": "bart"}, lambda model: None),
    "gradients by frequency": ({}, scaled),
    "bounded norms": ({}, bounded),
    "a table with two names": ({}, tied),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_would_change_stays_as_it_is(
    configure: Callable[..., Config], dataset: dict[str, Any], seen: dict[str, Any], name: str
) -> None:
    options, change = REFUSED[name]
    options = dict(options)
    if name == "texts":
        seen["train_data_path"] = dataset["train_data_path"]
    model, data = make(configure(*options.pop("overrides", ()), **options))
    change(model)
    before = [(name, type(module)) for name, module in model.named_modules()]
    reduce_vocabulary(model, data.train)
    assert [(name, type(module)) for name, module in model.named_modules()] == before


def test_few_unseen_rows_are_trained_with_all(
    configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = make(configure())
    size = table_of(model).num_embeddings
    ids = {number for each in data.train["DATA"] for number in each.segments.subword_ids.tolist()}
    ids |= set(model.tokenizer.tokenizer.all_special_ids)
    for least, stays in ((1 - len(ids) / size + 0.001, True), (1 - len(ids) / size - 0.001, False)):
        monkeypatch.setattr(seen_rows, "LEAST_UNSEEN", least)
        reduce_vocabulary(model, data.train)
        assert (type(table_of(model)) is nn.Embedding) == stays
    assert table_of(model).seen.tolist() == sorted(ids)


@pytest.mark.parametrize("kind", [list, lambda examples: examples])
def test_subwords_are_found_in_lists_and_in_columns(
    configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, kind: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(seen_rows, "CHUNK", 3)
    model, data = make(configure())
    ids = {number for each in data.train["DATA"] for number in each.segments.subword_ids.tolist()}
    reduce_vocabulary(model, {"DATA": kind(data.train["DATA"]), "NONE": []})
    assert set(table_of(model).seen.tolist()) == ids | set(model.tokenizer.tokenizer.all_special_ids)


def test_only_updates_that_touch_the_rows_decay_the_others(configure: Callable[..., Config]) -> None:
    model, data = make(configure("training.optimizer.weight_decay=0.5"))
    reduce_vocabulary(model, data.train)
    optimizer = make_optimizer(model, model.config.params.training)
    table, batch = table_of(model), model.batch(data.train["DATA"], only_annotated=True)
    optimizer.step()
    assert table.decay == 1.0
    # As after a run that goes on.
    optimizer.load_state_dict(optimizer.state_dict())
    train_step(model.train(), batch, optimizer)
    rate = next(
        group["lr"] for group in optimizer.param_groups if any(one is table.rows for one in group["params"])
    )
    assert table.decay == 1 - rate * 0.5
    table.rows.requires_grad_(False)
    train_step(model, batch, optimizer)
    assert table.decay == 1 - rate * 0.5


def test_a_model_that_is_saved_while_it_trains_is_as_any_other(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    model, data = make(configure("training.optimizer.weight_decay=50"))
    reduce_vocabulary(model, data.train)
    optimizer = make_optimizer(model, model.config.params.training)
    train_step(model.train(), model.batch(data.train["DATA"], only_annotated=True), optimizer)
    save_model(model, tmp_path / "model")
    restore_vocabulary(model)
    saved = load_model(tmp_path / "model")
    for name, value in weights_of(model).items():
        assert torch.equal(weights_of(saved)[name], value), name
