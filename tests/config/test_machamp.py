"""Every key of MaChAmp's configs is known by name: used, without effect, or not supported yet, but never ignored."""

import json
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import Config, load_config
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import DEFAULT_PARAMS
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError

TASK_TYPES = [
    *("seq", "string2string", "seq_bio", "multiseq", "multiclas", "dependency", "classification"),
    *("regression", "probdistr", "mlm", "tok", "seq2seq"),
]
MACHAMP = DEFAULT_PARAMS.parent / "params-machamp.json"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in a folder with a data file."""
    monkeypatch.chdir(tmp_path)
    Path("train.conllu").write_text("1\ta\tb\tX\n")


def load(*, dataset: Any = None, task: Any = None, params: Any = None) -> Config:
    tasks = {"upos": {"task_type": "seq", "column_idx": 3, **(task or {})}}
    base = {"train_data_path": "train.conllu", "word_idx": 1, "tasks": tasks}
    Path("c.json").write_text(json.dumps({"A": {**base, **(dataset or {})}}))
    Path("p.json").write_text(json.dumps(params or {}))
    return load_config(["c.json"], parameters_config="p.json")


def fault(**parts: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**parts)
    (line,) = caught.value.faults
    return line


def test_every_task_type_is_there() -> None:
    assert set(TASK_TYPES) == set(DECODERS)


LATER_PARAMS: dict[str, list[Any]] = {
    "encoder.subword_strategy": ["first"],
    "training.optimizer.type": ["sgd"],
    "training.learning_rate_scheduler.type": ["constant"],
}


def cases(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(key, value) for key, values in table.items() for value in values]


def nested(key: str, value: Any) -> Any:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize(("key", "value"), cases(LATER_PARAMS))
def test_unsupported_params_are_reported(key: str, value: Any) -> None:
    line = fault(params=nested(key, value))
    assert line.startswith(f"p.json: {key.replace('.', ' -> ')}: ")
    assert "not supported yet" in line


NEUTRAL_PARAMS = {
    "encoder.subword_strategy": "last",
    "training.optimizer.type": "adamw",
    "training.optimizer.correct_bias": False,
    "training.learning_rate_scheduler.type": "slanted_triangular",
    "training.keep_top_n": 1,
    "default_dec_dataset_embeds_dim": 12,
    "decoders.mlm.metric": "perplexity",
    "decoders.tok.pre_split": True,
}


@pytest.mark.parametrize(("key", "value"), NEUTRAL_PARAMS.items())
def test_what_asks_for_nothing_new_changes_nothing(key: str, value: Any) -> None:
    assert load(params=nested(key, value)) == load()


@pytest.mark.parametrize("task", [{"topn": 1}, {"class_weights": None}])
def test_options_at_their_only_value_change_nothing(task: dict[str, Any]) -> None:
    assert load(task=task) == load()


def test_the_older_name_of_dev_data_works() -> None:
    assert (
        load(dataset={"validation_data_path": "train.conllu"}).datasets["A"].dev_data_path == "train.conllu"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("tran.conllu", "no such file 'tran.conllu'; did you mean 'train.conllu'?"),
        (3, "expected a text in quotes, found 3"),
    ],
)
def test_a_fault_is_reported_under_the_name_that_the_user_wrote(value: Any, message: str) -> None:
    assert fault(dataset={"validation_data_path": value}) == f"c.json: A -> validation_data_path: {message}"


def test_both_names_of_dev_data_are_a_fault() -> None:
    paths = dict.fromkeys(("validation_data_path", "dev_data_path"), "train.conllu")
    assert fault(dataset=paths) == (
        "c.json: A -> validation_data_path: found this and dev_data_path, its newer name; expected one of them"
    )


def test_one_column_of_texts_may_be_a_number(tmp_path: Path) -> None:
    Path("t.tsv").write_text("label\ttext\n")
    dataset = {"train_data_path": "t.tsv", "tasks": {"c": {"task_type": "classification", "column_idx": 0}}}
    Path("n.json").write_text(json.dumps({"A": {**dataset, "sent_idxs": 1}}))
    Path("l.json").write_text(json.dumps({"A": {**dataset, "sent_idxs": [1]}}))
    expected = load_config(["l.json"]).datasets
    assert load_config(["n.json"]).datasets == expected
    assert load_config(["l.json"], overrides=["A.sent_idxs=1"]).datasets == expected


@pytest.mark.parametrize(("value", "warns"), [(0, False), (2, True)])
def test_the_largest_number_of_labels_has_no_effect(
    value: int, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    config = load(task={"task_type": "multiseq", "max_heads": value})
    assert config.datasets == load(task={"task_type": "multiseq"}).datasets
    lines = [record.getMessage() for record in caplog.records]
    expected = "c.json: A -> tasks -> upos -> max_heads: has no effect: all labels above the threshold are predicted"
    assert lines == [expected] * warns


def test_the_older_name_of_the_width_of_dataset_embeddings_works() -> None:
    assert load(params={"default_dec_dataset_embeds_dim": 5}).params.encoder.dataset_embeds_dim == 5


def test_the_older_place_of_layers_to_use_works() -> None:
    assert load(params={"encoder": {"layers_to_use": [-1]}}).tasks()["upos"].layers_to_use == [-1]
    both = {"encoder": {"layers_to_use": [-1]}, "decoders": {"default_decoder": {"layers_to_use": [-2]}}}
    assert fault(params=both).startswith(
        "p.json: encoder -> layers_to_use: found this and decoders -> default_decoder"
    )


@pytest.mark.parametrize("decoders", [[], {"default_decoder": []}])
def test_an_older_key_next_to_a_broken_one_is_no_second_fault(decoders: Any) -> None:
    assert fault(params={"encoder": {"layers_to_use": [-1]}, "decoders": decoders}).startswith(
        "p.json: decoders"
    )


def test_machamps_own_params_can_be_used() -> None:
    Path("c.json").write_text("{}")
    load()
    params = load_config(["c.json"], parameters_config=MACHAMP).params
    given = read_jsonnet(MACHAMP)
    found = params.model_dump()
    for part in ("encoder", "batching"):
        assert given[part].items() <= found[part].items()
    assert params.training.optimizer.lr == given["training"]["optimizer"]["lr"]
    assert params.training.num_epochs == given["training"]["num_epochs"]
    assert (
        params.decoders["default_decoder"]["layers_to_use"]
        == given["decoders"]["default_decoder"]["layers_to_use"]
    )
