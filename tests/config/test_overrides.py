"""``--set`` overrides one value of params or of a dataset; errors name the flag as the user wrote it."""

import json
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import Config, load_config
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in a folder with a data file and a config of three datasets, one named like the start of another."""
    monkeypatch.chdir(tmp_path)
    Path("train.conllu").write_text("1\ta\tb\tX\n")
    dataset = {"train_data_path": "train.conllu", "word_idx": 1}
    dataset["tasks"] = {"upos": {"task_type": "seq", "column_idx": 3}}  # type: ignore[assignment]
    Path("c.json").write_text(json.dumps({"UD": dataset, "en": dataset, "en.ewt": dataset}))


def load(*overrides: str, **options: Any) -> Config:
    return load_config(["c.json"], overrides=overrides, **options)


VALUES = {
    "training.num_epochs=3": 3,
    "training.optimizer.lr=1e-4": 1e-4,
    "training.optimizer.betas=[0.5, 0.6]": [0.5, 0.6],
    "training.grad_norm=null": None,
    "batching.shuffle=false": False,
    "transformer_model=some/name=with.dots": "some/name=with.dots",
    'transformer_model="3"': "3",
    "decoders.dependency.activation=linear": "linear",
    "decoders.seq.dropout=0.25": 0.25,
}


@pytest.mark.parametrize(("text", "expected"), VALUES.items())
def test_a_value_of_params_is_json_or_else_a_string(text: str, expected: Any) -> None:
    found: Any = load(text).params.model_dump()
    for key in text.partition("=")[0].split("."):
        found = found[key]
    assert found == expected


def test_the_rest_of_params_stays_as_it_was() -> None:
    before, after = load().params.model_dump(), load("training.optimizer.lr=0.5").params.model_dump()
    before["training"]["optimizer"]["lr"] = 0.5
    assert after == before


@pytest.mark.parametrize("name", ["UD", "en", "en.ewt"])
def test_a_dataset_is_named_with_its_dots(name: str) -> None:
    config = load(f"{name}.max_sents=7", f"{name}.tasks.upos.loss_weight=1", f"{name}.skip_first_line=true")
    assert [key for key, dataset in config.datasets.items() if dataset.max_sents == 7] == [name]
    assert config.datasets[name].skip_first_line


def test_a_task_can_be_added() -> None:
    config = load('UD.tasks.xpos={"task_type": "seq", "column_idx": 2}')
    assert list(config.datasets["UD"].tasks) == ["upos", "xpos"]


def test_the_last_one_counts() -> None:
    assert load("training.num_epochs=x", "training.num_epochs=4").params.training.num_epochs == 4
    with pytest.raises(ConfigError, match=r"^--set training\.num_epochs=x: "):
        load("training.num_epochs=4", "training.num_epochs=x")


def test_a_flag_counts_over_the_users_params() -> None:
    Path("p.json").write_text('{"training": {"num_epochs": 5, "precision": "bf16"}}')
    training = load("training.num_epochs=4", parameters_config="p.json").params.training
    assert (training.num_epochs, training.precision) == (4, "bf16")


WRONG = {
    "x": "expected KEY=VALUE, for example training.num_epochs=3",
    "=3": "expected KEY=VALUE, for example training.num_epochs=3",
    "a..b=3": "expected KEY=VALUE, for example training.num_epochs=3",
    "trainin.num_epochs=3": "unknown 'trainin'; did you mean 'training'?",
    "UDD.max_sents=3": "unknown 'UDD'; did you mean 'UD'?",
    "training.num_epoch=3": "training -> num_epoch: unknown key; did you mean 'num_epochs'?",
    "training.num_epochs=abc": "training -> num_epochs: expected a whole number, found 'abc'",
    "training.num_epochs=": "training -> num_epochs: expected a whole number, found ''",
    "training.optimizer.lr=NaN": "training -> optimizer -> lr: expected a finite number or 'auto', found NaN",
    "training=3": "training: expected an object {...}, found 3",
    "training.optimizer.lr.x=3": "training -> optimizer -> lr: expected a number or 'auto', found {\"x\": 3}",
    'encoder={"dropoutt": 0.3}': "encoder -> dropoutt: unknown key; did you mean 'dropout'?",
    "encoder.layers_to_use=[]": "encoder -> layers_to_use: expected a list of 1 or more items or 'all', found []",
    "decoders.sequ.dropout=1": "decoders -> sequ: unknown key; did you mean 'seq'?",
    "UD=3": "names a whole dataset, expected one of its keys",
    "UD.max_sents=0": "UD -> max_sents: expected a number above 0, found 0",
    "UD.word_idx.x=3": "'word_idx' is not an object, so nothing below it can be set",
    "UD.tasks=3": "UD -> tasks: expected an object with at least one task, found 3",
    "UD.tasks.upos.metric=las": "UD -> tasks -> upos -> metric: 'seq' has no metric 'las'; known: accuracy, "
    "span_(f1|precision|recall)[_macro], (f1|precision|recall|fbeta)_(micro|macro|weighted|binary)",
    "UD.tasks.xpos.column_idx=2": "UD -> tasks -> xpos: no such task; did you mean 'upos'? (A new task needs a "
    "task_type.)",
    "UD.tasks.lemma.column_idx=2": "UD -> tasks -> lemma -> task_type: missing, expected one of "
    + ", ".join(sorted(DECODERS)),
    "UD.tasks.upo.loss_weight=3": "UD -> tasks -> upo: no such task; did you mean 'upos'? (A new task needs a "
    "task_type.)",
    "UD.task.upos.loss_weight=3": "UD -> task: unknown key; did you mean 'tasks'?",
    "UD.tasks.upos.loss_weigth=3": "UD -> tasks -> upos -> loss_weigth: unknown key; did you mean 'loss_weight'?",
    "training.optimzer.lr=1": "training -> optimzer: unknown key; did you mean 'optimizer'?",
    "training.optimizer.lrr=1": "training -> optimizer -> lrr: unknown key; did you mean 'lr'?",
    "decoders.seq.loss_weigt=1": "decoders -> seq -> loss_weigt: unknown key; did you mean 'loss_weight'?",
    "UD.tasks.upos.class_weights=ballanced": "UD -> tasks -> upos -> class_weights: expected 'balanced', "
    "'inverse', 'max_ratio', 'sqrt' or 'effective' or an object {...}, found 'ballanced'; did you mean 'balanced'?",
    "training.task_weighting=uncertanty": "training -> task_weighting: expected 'static', 'uncertainty', 'dwa', "
    "'random' or 'famo', found 'uncertanty'; did you mean 'uncertainty'?",
    "decoders.dependency.activation=liner": "decoders -> dependency -> activation: expected 'elu' or 'linear', "
    "found 'liner'; did you mean 'linear'?",
    "encoder.packing=atuo": "encoder -> packing: expected true or false or 'auto', found 'atuo'; did you mean 'auto'?",
    "encoder.layers_to_use=al": "encoder -> layers_to_use: expected a list or 'all', found 'al'; did you mean 'all'?",
    "UD.oversample_scheme=Balanced": "UD -> oversample_scheme: expected 'balanced', 'inverse', 'max_ratio', "
    "'sqrt' or 'effective', found 'Balanced'; did you mean 'balanced'?",
    "UD.tasks.upos.loss_weight=Infinity": "UD -> tasks -> upos -> loss_weight: expected a finite number, "
    "found Infinity",
    "UD.dev_data_path=nothing": "UD -> dev_data_path: no such file 'nothing'",
    "UD.validation_data_path=3": "UD -> validation_data_path: expected a text in quotes, found 3",
    "en.ewt.max_sents=x": "en.ewt -> max_sents: expected a whole number, found 'x'",
}


@pytest.mark.parametrize(("text", "line"), WRONG.items())
@pytest.mark.parametrize("params", [None, "p.json"])
def test_a_wrong_override_is_reported_as_the_user_wrote_it(text: str, line: str, params: str | None) -> None:
    Path("p.json").write_text("{}")
    with pytest.raises(ConfigError) as caught:
        load(text, parameters_config=params)
    assert caught.value.faults == [f"--set {text}: {line}"]


def test_a_new_task_may_be_spelt_like_another_one_and_come_in_any_order() -> None:
    config = load("UD.tasks.xpos.column_idx=2", "UD.tasks.xpos.task_type=seq")
    assert list(config.datasets["UD"].tasks) == ["upos", "xpos"]


def test_a_misspelt_name_with_dots_is_suggested() -> None:
    document = json.loads(Path("c.json").read_text())
    Path("c.json").write_text(json.dumps({"en.ewt": document["en"]}))
    with pytest.raises(ConfigError) as caught:
        load("en.ewtt.max_sents=3")
    assert caught.value.faults == ["--set en.ewtt.max_sents=3: unknown 'en.ewtt'; did you mean 'en.ewt'?"]


def test_all_wrong_overrides_are_reported_together() -> None:
    texts = ["encoder.dropout=2", "x", "UD.max_sents=0", "encoder.max_input_length=1"]
    with pytest.raises(ConfigError) as caught:
        load(*texts)
    assert sorted(line.split(": ")[0] for line in caught.value.faults) == sorted(
        f"--set {text}" for text in texts
    )


def test_nothing_is_said_of_datasets_whose_file_cannot_be_read() -> None:
    Path("c.json").write_text("{")
    with pytest.raises(ConfigError) as caught:
        load("UD.max_sents=3")
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith("c.json:1:2: ")


def test_a_seed_is_set_and_a_wrong_one_is_reported_with_its_flag() -> None:
    assert load("random_seed=3", seed=5).params.random_seed == 5
    with pytest.raises(
        ConfigError, match=r"^--seed: random_seed: expected a number of at least 0, found -1$"
    ):
        load(seed=-1)
