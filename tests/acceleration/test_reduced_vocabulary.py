"""Training only the embeddings of the subwords in the training data gives the same model as training all."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hidden_states import encode
from safetensors.torch import load_file
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights
from tiny_encoders import KINDS, Encoders
from torch import nn

from machamp_lite.acceleration import WITHOUT, reduced_vocabulary
from machamp_lite.acceleration.reduced_vocabulary import (
    EXTRA_STATE,
    ReducedVocabularyEmbedding,
    reduce_vocabulary,
)
from machamp_lite.config import load_config
from machamp_lite.config.schema import Config
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model, save_model, weights_of
from machamp_lite.training import run as runs
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.train_step import train_step

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


def seen_subwords(data: runs.RunData) -> Iterator[np.ndarray]:
    return (examples.subword_ids() for examples in data.train.values())


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
    assert "subwords are in the training data: the remaining embeddings get weight decay only" in caplog.text
    with monkeypatch.context() as patch:
        patch.setenv(WITHOUT, "vocabulary")
        runs.train(config, tmp_path / "all", progress=False)

    found, expected = (json.loads((tmp_path / run / "history.json").read_text()) for run in ("rows", "all"))
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
        # AdamW divides gradients by their size: the smallest ones consist of rounding errors.
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
        expected.append((batch, encode(model.train(training).encoder, batch, model.used_layers)))
    reduce_vocabulary(model, seen_subwords(data))
    assert isinstance(table_of(model), ReducedVocabularyEmbedding)
    for training, (batch, wanted) in zip((True, False), expected, strict=True):
        torch.manual_seed(2)
        found = encode(model.train(training).encoder, batch, model.used_layers)
        assert torch.equal(found.words, wanted.words)
        assert torch.equal(found.sentences, wanted.sentences)
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
    "an embedding of another class": ({"kind": "bart"}, lambda model: None),
    "gradients by frequency": ({}, scaled),
    "bounded norms": ({}, bounded),
    "a table with two names": ({}, tied),
}


@pytest.mark.parametrize("name", REFUSED)
def test_encoders_that_it_would_change_are_left_alone(
    configure: Callable[..., Config], dataset: dict[str, Any], seen: dict[str, Any], name: str
) -> None:
    options, change = REFUSED[name]
    options = dict(options)
    if name == "texts":
        seen["train_data_path"] = dataset["train_data_path"]
    model, data = make(configure(*options.pop("overrides", ()), **options))
    change(model)
    before = [(name, type(module)) for name, module in model.named_modules()]
    reduce_vocabulary(model, seen_subwords(data))
    assert [(name, type(module)) for name, module in model.named_modules()] == before


def test_an_embedding_with_few_unseen_subwords_stays(
    configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = make(configure())
    size = table_of(model).num_embeddings
    ids = {number for each in data.train["DATA"] for number in each.segments.subword_ids.tolist()}
    ids |= set(model.tokenizer.tokenizer.all_special_ids)
    for least, stays in ((1 - len(ids) / size + 0.001, True), (1 - len(ids) / size - 0.001, False)):
        monkeypatch.setattr(reduced_vocabulary, "MINIMUM_UNSEEN", least)
        reduce_vocabulary(model, seen_subwords(data))
        assert (type(table_of(model)) is nn.Embedding) == stays
    assert table_of(model).seen.tolist() == sorted(ids)


def test_unseen_vectors_decay_only_in_updates_of_the_seen_ones(configure: Callable[..., Config]) -> None:
    model, data = make(configure("training.optimizer.weight_decay=0.5"))
    reduce_vocabulary(model, seen_subwords(data))
    optimizer = make_optimizer(model)
    table, batches = table_of(model), [data.train["DATA"]]
    optimizer.step()
    assert table.decay == 1.0
    # As in a resumed run.
    optimizer.load_state_dict(optimizer.state_dict())
    train_step(model.train(), batches, optimizer)
    rate = next(
        group["lr"] for group in optimizer.param_groups if any(one is table.rows for one in group["params"])
    )
    assert table.decay == 1 - rate * 0.5
    table.rows.requires_grad_(False)
    train_step(model, batches, optimizer)
    assert table.decay == 1 - rate * 0.5


def test_a_model_saved_during_training_is_complete(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    model, data = make(configure("training.optimizer.weight_decay=50"))
    reduce_vocabulary(model, seen_subwords(data))
    optimizer = make_optimizer(model)
    train_step(model.train(), [data.train["DATA"]], optimizer)
    save_model(model, tmp_path / "model")
    saved = load_model(tmp_path / "model")
    for name, value in weights_of(model).items():
        assert torch.equal(weights_of(saved)[name], value), name


SEEN = torch.tensor([0, 2, 3, 7])
IN_TRAINING = torch.tensor([[2, 7, 0], [3, 2, 0]])
EVERY_ID = torch.arange(9).reshape(3, 3)


def pair(padding_idx: int | None = 0) -> tuple[nn.Embedding, ReducedVocabularyEmbedding]:
    torch.manual_seed(1)
    embedding = nn.Embedding(9, 4, padding_idx=padding_idx)
    return embedding, ReducedVocabularyEmbedding(embedding, SEEN)


def whole(embedding: ReducedVocabularyEmbedding) -> torch.Tensor:
    """The value after AdamW's weight decay."""
    table = embedding.table * embedding.decay
    table[SEEN] = embedding.rows.detach()
    return table


def changed(embedding: ReducedVocabularyEmbedding) -> ReducedVocabularyEmbedding:
    with torch.no_grad():
        embedding.rows.normal_()
    embedding.decay = 0.75
    return embedding


@pytest.mark.parametrize("padding_idx", [None, 0, 3])
def test_vectors_and_gradients_are_those_of_the_embedding(padding_idx: int | None) -> None:
    embedding, seen = pair(padding_idx)
    for ids, training in ((IN_TRAINING, True), (IN_TRAINING, False), (EVERY_ID, False)):
        found, expected = seen.train(training)(ids), embedding.train(training)(ids)
        assert torch.equal(found, expected)
        factors = torch.randn(expected.shape)
        for vectors in (found, expected):
            (vectors * factors).sum().backward()
        assert seen.rows.grad is not None
        assert embedding.weight.grad is not None
        assert torch.equal(seen.rows.grad, embedding.weight.grad[SEEN])
        seen.zero_grad()
        embedding.zero_grad()


def test_training_on_a_row_that_was_not_seen_fails() -> None:
    with pytest.raises(IndexError):
        pair()[1].train()(torch.tensor([1]))


def test_unseen_vectors_decay_equally_everywhere() -> None:
    seen = changed(pair()[1]).eval()
    assert torch.equal(seen.weight, whole(seen))
    assert torch.equal(seen(EVERY_ID), whole(seen)[EVERY_ID])
    assert torch.equal(seen.state_dict()["weight"], whole(seen))


def plain_state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in module.state_dict().items() if name != EXTRA_STATE}


def test_its_saved_weights_are_those_of_the_embedding() -> None:
    embedding, seen = pair()
    expected = {name: (value.shape, value.dtype) for name, value in embedding.state_dict().items()}
    assert {name: (value.shape, value.dtype) for name, value in plain_state(seen).items()} == expected
    embedding.load_state_dict(plain_state(changed(seen)))
    assert torch.equal(embedding.weight, whole(seen))


def test_saved_weights_of_a_model_replace_all_vectors(tmp_path: Path) -> None:
    path = f"{tmp_path}/weights.safetensors"
    source = pair()[0]
    save_weights(nn.Sequential(source, nn.Linear(4, 4)), path)
    seen = changed(pair()[1])
    load_weights(nn.Sequential(seen, nn.Linear(4, 4)), path)
    assert torch.equal(seen.weight, source.weight)
    assert seen.decay == 1.0
    with pytest.raises(RuntimeError, match="Missing key"):
        seen.load_state_dict({})


def test_a_checkpoint_restores_the_factor_of_unseen_vectors_exactly() -> None:
    source, restored = changed(pair()[1]), pair()[1]
    source.decay = 1 / 3
    restored.load_state_dict(source.state_dict())
    assert restored.decay == source.decay
    assert torch.equal(restored.table, source.table)
    assert torch.equal(restored.weight, source.weight)
