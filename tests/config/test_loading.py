"""Every error of a config is reported: all of a run together, each in one line with its location."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import Config, load_config
from machamp_lite.config.loading import DEFAULT_PARAMS
from machamp_lite.config.task_types import SeqOptions
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError

SEQ = {"task_type": "seq", "column_idx": 3}
SUPPORTED = ", ".join(sorted(DECODERS))
ABSENT: Any = object()
METRICS_OF_SEQ = (
    "accuracy, span_(f1|precision|recall)[_macro], (f1|precision|recall|fbeta)_(micro|macro|weighted|binary)"
)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in a folder with a data file of each kind, so that lines name short paths."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/train.conllu").write_text("1\ta\tb\tX\n")
    Path("data/train.tsv").write_text("a\tb\tX\n")


def dataset(**changes: Any) -> dict[str, Any]:
    base = {"train_data_path": "data/train.conllu", "word_idx": 1, "tasks": {"upos": SEQ}}
    return {key: value for key, value in {**base, **changes}.items() if value is not ABSENT}


def pairs(**changes: Any) -> dict[str, Any]:
    tasks = {"same": {"task_type": "classification", "column_idx": 2}}
    return dataset(
        train_data_path="data/train.tsv", word_idx=ABSENT, **{"sent_idxs": [0, 1], "tasks": tasks, **changes}
    )


def task(**changes: Any) -> dict[str, Any]:
    return dataset(
        tasks={"upos": {key: value for key, value in {**SEQ, **changes}.items() if value is not ABSENT}}
    )


def load(*datasets: dict[str, Any], params: Any = None, **options: Any) -> Config:
    """Loads datasets A, B, ... from c.json, with params from p.json."""
    named = dict(zip("AB", datasets, strict=False))
    Path("c.json").write_text(json.dumps(named))
    if params is not None:
        Path("p.json").write_text(json.dumps(params))
        options["parameters_config"] = "p.json"
    return load_config(["c.json"], **options)


def faults(call: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(line.isprintable() for line in caught.value.faults)
    return caught.value.faults


WRONG_TASKS = {
    "task_type: unknown 'sequ'; did you mean 'seq'?": {"task_type": "sequ"},
    "task_type: unknown 'se\\nq'; did you mean 'seq'?": {"task_type": "se\nq"},
    f"task_type: missing, expected one of {SUPPORTED}": {"task_type": ABSENT},
    "task_typ: unknown key; did you mean 'task_type'?": {"task_type": ABSENT, "task_typ": "seq"},
    f'task_type: expected one of {SUPPORTED}, found ["seq"]': {"task_type": ["seq"]},
    "column_idx: missing, and has no default": {"column_idx": ABSENT},
    "column_idx: expected a number of at least -1, found -2": {"column_idx": -2},
    "column_idx: expected a whole number or a name in quotes, found '3'": {"column_idx": "3"},
    "column_idx: expected a whole number or a text in quotes, found 3.5": {"column_idx": 3.5},
    "column_idx: expected a whole number or a text in quotes, found true": {"column_idx": True},
    "column_idx: -1 is a comment and 'seq' labels words, expected a column": {"column_idx": -1},
    "column_idx: -1 is a comment and 'dependency' labels words, expected a column": {
        "task_type": "dependency",
        "column_idx": -1,
    },
    "loss_weight: expected a number of at least 0, found -1": {"loss_weight": -1},
    "loss_weight: expected a number, found '1'": {"loss_weight": "1"},
    "loss_weight: expected a number, found null": {"loss_weight": None},
    "dropout: expected a number below 1, found 1": {"dropout": 1},
    "topn: 'tok' cannot write several labels per item, expected 1 or no such key": {
        "task_type": "tok",
        "column_idx": -1,
        "topn": 2,
    },
    "column_idx: expected a number of at most -1, found 3": {"task_type": "mlm"},
    "column_idx: expected -1, a comment '# upos = label', in a dataset with word_idx, found 3": {
        "task_type": "regression"
    },
    "column_idxs: expected -1, a comment '# upos = label', in a dataset with word_idx, found [3, 4]": {
        "task_type": "probdistr",
        "column_idx": ABSENT,
        "column_idxs": [3, 4],
    },
    "column_idx: found 3, expected column_idxs, a list with the column of each probability": {"task_type": "probdistr"},
    "metric: unknown 'f1_macr'; did you mean 'f1_macro'?": {"metric": "f1_macr"},
    f"metric: unknown 'f1'; known: {METRICS_OF_SEQ}": {"metric": "f1"},
    f"metric: 'seq' has no metric 'las'; known: {METRICS_OF_SEQ}": {"metric": "las"},
    "metric: expected a text in quotes, found 3": {"metric": 3},
    'metric: expected a text in quotes, found ["accuracy"]': {"metric": ["accuracy"]},
    "additional_metrics: unknown 'acuracy'; did you mean 'accuracy'?": {"additional_metrics": ["acuracy"]},
    "additional_metrics: expected a list, found null": {"additional_metrics": None},
    "additional_metrics -> 0: expected a text in quotes, found 3": {"additional_metrics": [3]},
    "layers_to_use: expected a list of 1 or more items or 'all', found []": {"layers_to_use": []},
    "layers_to_use: expected a list or 'all', found 'last'": {"layers_to_use": "last"},
    "layers_to_use -> 1: expected a whole number, found 0.5": {"layers_to_use": [1, 0.5]},
    "pooling: expected one of first, last, first_last, mean, max for a word, found 'attention'": {
        "pooling": "attention"
    },
    "pooling: expected one of first, last, first_last, mean, max for a word, found 'firs'; did you mean "
    "'first'?": {"pooling": "firs"},
    "pooling: expected 'first', 'last', 'first_last', 'mean', 'max' or 'attention', found 3": {"pooling": 3},
    "los_weight: unknown key; did you mean 'loss_weight'?": {"los_weight": 1},
    "scheme: expected 'auto', 'BIO', 'IOB1', 'BIOES', 'BILOU' or 'IOE2', found 'BIOS'; did you mean "
    "'BIOES'?": {"scheme": "BIOS"},
    f"int: unknown key; known: {', '.join(sorted(SeqOptions.model_fields))}": {"int": 1},
    f"elu: unknown key; known: {', '.join(sorted(SeqOptions.model_fields))}": {"elu": 1},
}


@pytest.mark.parametrize(("line", "changes"), WRONG_TASKS.items(), ids=range(len(WRONG_TASKS)))
def test_every_fault_of_a_task_is_reported_in_one_line_with_its_place(line: str, changes: dict[str, Any]) -> None:
    assert faults(lambda: load(task(**changes))) == [f"c.json: A -> tasks -> upos -> {line}"]


@pytest.mark.parametrize("changes", [{}, {"column_idxs": [3, 4], "size": 2}])
def test_a_distribution_has_columns_or_a_size(changes: dict[str, Any]) -> None:
    options = {"task_type": "probdistr", "column_idx": ABSENT, **changes}
    assert faults(lambda: load(task(**options))) == [
        "c.json: A -> tasks -> upos: expected either column_idxs or, for a comment, size, the number of its "
        "probabilities"
    ]


CLASSIFICATION = {"task_type": "classification", "column_idx": 2}
WRONG_DATASETS = {
    "A: expected an object with a dataset's keys, found []": [],
    "A: expected an object with a dataset's keys, found 'x'": "x",
    'A -> tasks: expected an object with at least one task, found [{"task_type": "seq"}]': dataset(
        tasks=[{"task_type": "seq"}]
    ),
    "A -> tasks: expected an object with at least one task, found {}": dataset(tasks={}),
    "A -> tasks: expected an object with at least one task, found nothing": dataset(tasks=ABSENT),
    "A -> tasks -> upos: expected an object with a task's keys, found 'seq'": dataset(tasks={"upos": "seq"}),
    "A -> tasks -> '': expected a task's name that is not empty and can be printed": dataset(tasks={"": SEQ}),
    "A -> tasks -> a\\nb: expected a task's name that is not empty and can be printed": dataset(
        tasks={"a\nb": SEQ}
    ),
    "A: found both word_idx and sent_idxs, expected one of them": dataset(sent_idxs=[0]),
    "A: found neither word_idx nor sent_idxs, expected one of them": dataset(word_idx=ABSENT),
    "A -> word_idx: expected a number of at least 0, found -1": dataset(word_idx=-1),
    "A -> word_idx: expected a whole number or a name in quotes, found '1'": dataset(word_idx="1"),
    "A -> sent_idxs: expected a list, found '0'": pairs(sent_idxs="0"),
    "A -> sent_idxs: expected a list of 1 or more items, found []": pairs(sent_idxs=[]),
    "A -> sent_idxs -> 1: expected a number of at least 0, found -1": pairs(sent_idxs=[0, -1]),
    "A -> tasks -> upos -> task_type: 'seq' labels words, expected a dataset with word_idx, found sent_idxs": pairs(
        tasks={"upos": SEQ}
    ),
    "A -> tasks -> t -> column_idx: -1 is a comment of a file with word_idx, expected a column": pairs(
        tasks={"t": {**CLASSIFICATION, "column_idx": -1}}
    ),
    "A -> tasks -> t -> column_idx: expected -1, a comment '# t = label', in a dataset with word_idx, found 2": dataset(
        tasks={"t": CLASSIFICATION}
    ),
    "A -> train_data_path: missing, expected the path of a training file": dataset(train_data_path=ABSENT),
    "A -> train_data_path: no such file ''": dataset(train_data_path=""),
    "A -> train_data_path: expected a text in quotes, found 3": dataset(train_data_path=3),
    "A -> train_data_path: no such file 'data/tran.conllu'; did you mean 'data/train.conllu'?": dataset(
        train_data_path="data/tran.conllu"
    ),
    "A -> train_data_path: no such file 'dat/x'; the folder dat does not exist either": dataset(
        train_data_path="dat/x"
    ),
    "A -> train_data_path: 'data' is a folder, expected a file": dataset(train_data_path="data"),
    "A -> dev_data_path: no such file 'data/dev'": dataset(dev_data_path="data/dev"),
    "A -> max_sent: unknown key; did you mean 'max_sents'?": dataset(max_sent=3),
    "A -> max_sents: expected a number above 0, found 0": dataset(max_sents=0),
    "A -> max_words: expected a whole number, found '9'": dataset(max_words="9"),
    "A -> skip_first_line: expected true or false, found 'yes'": dataset(skip_first_line="yes"),
}


@pytest.mark.parametrize(("line", "wrong"), WRONG_DATASETS.items(), ids=range(len(WRONG_DATASETS)))
def test_every_fault_of_a_dataset_is_reported_in_one_line_with_its_place(line: str, wrong: Any) -> None:
    assert faults(lambda: load(wrong)) == [f"c.json: {line}"]


WRONG_PARAMS = {
    "encoders: unknown key; did you mean 'encoder'?": {"encoders": {}},
    "encoder: expected an object {...}, found []": {"encoder": []},
    "encoder -> dropoutt: unknown key; did you mean 'dropout'?": {"encoder": {"dropoutt": 0.1}},
    "encoder -> float: unknown key; did you mean 'lora'?": {"encoder": {"float": 1}},
    "transformer_model: expected a text that is not empty, found ''": {"transformer_model": ""},
    "random_seed: expected a number below 4294967296, found 4294967296": {"random_seed": 2**32},
    "training: expected an object {...}, found null": {"training": None},
    "training -> num_epochs: expected a whole number, found 1.5": {"training": {"num_epochs": 1.5}},
    "training -> precision: expected 'auto', 'fp32' or 'bf16', found 'fp16'; did you mean 'bf16'?": {
        "training": {"precision": "fp16"}
    },
    "training -> optimizer -> lrr: unknown key; did you mean 'lr'?": {"training": {"optimizer": {"lrr": 1}}},
    "training -> optimizer -> betas: expected a list of at most 2 items, found [0.9, 0.99, 0.1]": {
        "training": {"optimizer": {"betas": [0.9, 0.99, 0.1]}}
    },
    "batching -> sampling_smoothing: expected a number of at most 1, found 2": {
        "batching": {"sampling_smoothing": 2}
    },
    "datasets -> max_sents: expected a number above 0, found 0": {"datasets": {"max_sents": 0}},
    "decoders: expected an object, found []": {"decoders": []},
    "decoders -> sequ: unknown key; did you mean 'seq'?": {"decoders": {"sequ": {}}},
    "decoders -> seq: expected an object {...}, found []": {"decoders": {"seq": []}},
    f"decoders -> seq -> metric: 'seq' has no metric 'las'; known: {METRICS_OF_SEQ}": {
        "decoders": {"seq": {"metric": "las"}}
    },
    "decoders -> seq_bio -> metrc: unknown key; did you mean 'metric'?": {
        "decoders": {"seq_bio": {"metrc": "x"}}
    },
    "decoders -> default_decoder -> metric: unknown 'acuracy'; did you mean 'accuracy'?": {
        "decoders": {"default_decoder": {"metric": "acuracy"}}
    },
    f"decoders -> default_decoder -> metric: 'seq' has no metric 'uas'; known: {METRICS_OF_SEQ}": {
        "decoders": {"default_decoder": {"metric": "uas"}}
    },
    "decoders -> default_decoder -> metric: expected a text in quotes, found null": {
        "decoders": {"default_decoder": {"metric": None}}
    },
    "decoders -> default_decoder -> loss_weight: expected a number of at least 0, found -1": {
        "decoders": {"default_decoder": {"loss_weight": -1}}
    },
    "decoders -> default_decoder -> layers_to_use: expected a list or 'all', found ''": {
        "decoders": {"default_decoder": {"layers_to_use": ""}}
    },
    "decoders -> default_decoder -> activation: not every task type has this option, expected it under decoders -> "
    "dependency": {"decoders": {"default_decoder": {"activation": "elu"}}},
    "decoders -> dependency -> activation: expected 'elu' or 'linear', found 'relu'; did you mean 'elu'?": {
        "decoders": {"dependency": {"activation": "relu"}}
    },
}


@pytest.mark.parametrize(("line", "params"), WRONG_PARAMS.items(), ids=range(len(WRONG_PARAMS)))
def test_every_fault_of_params_is_reported_in_one_line_with_its_place(line: str, params: dict[str, Any]) -> None:
    assert faults(lambda: load(dataset(), params=params)) == [f"p.json: {line}"]


NO_OBJECTS = {
    "[]": "c.json: expected an object {...}, found []",
    "null": "c.json: expected an object {...}, found null",
    '"' + "x" * 99 + '"': f"c.json: expected an object {{...}}, found '{'x' * 56}...",
    "{}": "c.json: no datasets found, expected at least one",
    "": "c.json: is empty, expected an object {...}",
    '{\n"A": {\n "a" 3}}': 'c.json:3:6: is not valid jsonnet: expected token OPERATOR but got (NUMBER, "3")',
    "{A: {}, A: {}}": "c.json:1:9: is not valid jsonnet: duplicate field: A",
    "{\nA: nobody}": "c.json:2:4-10: is not valid jsonnet: Unknown variable: nobody",
    '{\nA: error "own words"}': "c.json:2:4-21: own words",
    "{A: 1e999}": "c.json:1:5-10: overflow",
    '{A: import "nothing.json"}': "c.json:1:5-26: cannot import 'nothing.json': No such file or directory",
    '{A: import "broken.json"}': "broken.json:2:1: is not valid jsonnet: syntax error",
    "function(x) x": "c.json: function parameter x not bound in call",
}


@pytest.mark.parametrize(("text", "line"), NO_OBJECTS.items(), ids=range(len(NO_OBJECTS)))
def test_a_file_that_is_no_object_or_no_jsonnet_is_one_line(text: str, line: str) -> None:
    Path("c.json").write_text(text)
    Path("broken.json").write_text("{\n!")
    assert faults(lambda: load_config(["c.json"])) == [line]


PATHS = {
    "c.jso": "c.jso: no such file; did you mean 'c.json'?",
    "pairs.json": "pairs.json: no such file",
    "no/c.json": "no/c.json: no such file; the folder no does not exist either",
    "data": "data: is a folder, expected a file",
    "": "'': no such file",
    "bytes.json": "bytes.json: found 0xff at byte 4, expected UTF-8",
}


@pytest.mark.parametrize(("path", "line"), PATHS.items())
def test_a_config_that_cannot_be_read_is_one_line(path: str, line: str) -> None:
    Path("c.json").write_text("{}")
    Path("bytes.json").write_bytes(b'{"A\xff": {}}')
    assert faults(lambda: load_config([path])) == [line]
    Path("c.json").write_text(json.dumps({"A": dataset()}))
    if path:
        assert faults(lambda: load_config(["c.json"], parameters_config=path)) == [line]


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", ".x", "", " ", "a\\b", "a\nb", "a\0b", "x" * 201, "é" * 101]
)
def test_a_dataset_may_not_have_a_name_that_no_file_can_have(name: str) -> None:
    Path("c.json").write_text(json.dumps({name: dataset()}))
    (line,) = faults(lambda: load_config(["c.json"]))
    assert "is part of file names" in line


@pytest.mark.parametrize("name", ["UD_English-EWT", "en.ewt", "a b", "数据", "x" * 200])
def test_other_names_are_taken_as_they_are(name: str) -> None:
    Path("c.json").write_text(json.dumps({name: dataset()}))
    assert list(load_config(["c.json"]).datasets) == [name]


def test_all_faults_of_all_files_are_reported_together() -> None:
    Path("a.json").write_text(
        json.dumps({"A": task(task_type="sequ"), "B": dataset(word_idx=-1, max_sents=0)})
    )
    Path("b.json").write_text("[")
    Path("p.json").write_text(json.dumps({"x": 1, "training": {"num_epochs": 0}}))
    lines = faults(
        lambda: load_config(
            ["a.json", "b.json", "a.json", "no.json"],
            parameters_config="p.json",
            overrides=["encoder.dropout=2"],
        )
    )
    assert len(lines) == len(set(lines)) == 10
    assert sorted(line.split(":")[0] for line in lines) == sorted(
        ["a.json"] * 5 + ["b.json", "no.json", "p.json", "p.json", "--set encoder.dropout=2"]
    )


def test_two_datasets_of_one_name_are_a_fault() -> None:
    for name in ("a.json", "b.json"):
        Path(name).write_text(json.dumps({"A": dataset()}))
    assert faults(lambda: load_config(["a.json", "b.json"])) == [
        "b.json: A: this dataset is already in a.json, expected another name"
    ]


DIFFERENT = {
    "task_type": ({"task_type": "string2string"}, "'string2string'", "'seq'"),
    "loss_weight": ({"loss_weight": 0.5}, "0.5", "1.0"),
    "layers_to_use": ({"layers_to_use": [-1]}, "[-1]", "'all'"),
}


@pytest.mark.parametrize("key", DIFFERENT)
def test_one_task_name_is_one_decoder(key: str) -> None:
    changes, found, expected = DIFFERENT[key]
    assert faults(lambda: load(task(), task(**changes))) == [
        f"c.json: B -> tasks -> upos -> {key}: found {found}, but 'upos' in A has {expected}; "
        "tasks of one name share one decoder, expected equal options or another name"
    ]


def test_one_task_may_have_different_columns_and_spell_out_defaults() -> None:
    config = load(task(), task(column_idx=2, loss_weight=1.0))
    assert [item.tasks["upos"].column_idx for item in config.datasets.values()] == [3, 2]
    assert list(config.tasks()) == ["upos"]


def test_nothing_to_learn_is_a_fault() -> None:
    assert faults(lambda: load(task(loss_weight=0))) == [
        "c.json: the loss_weight of every task is 0, expected one above 0: nothing would be learnt"
    ]
    config = load(dataset(tasks={"upos": {**SEQ, "loss_weight": 0}, "xpos": SEQ}))
    assert [item.loss_weight for item in config.tasks().values()] == [0, 1]


def test_no_configs_at_all_are_a_fault() -> None:
    assert faults(lambda: load_config([])) == ["dataset configs: no datasets found, expected at least one"]


def test_jsonnet_has_comments_trailing_commas_variables_and_imports() -> None:
    Path("tasks.libsonnet").write_text("{ upos: { task_type: 'seq', column_idx: 3, }, }")
    Path("c.jsonnet").write_text(
        "\ufeff// a line\n/* a block */\nlocal folder = 'data/';\n"
        "{ A: { train_data_path: folder + 'train.conllu', word_idx: 1, tasks: import 'tasks.libsonnet', }, }\n"
    )
    assert load_config(["c.jsonnet"]).datasets["A"].tasks["upos"].column_idx == 3


def test_imports_are_found_next_to_the_file_that_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("configs").mkdir()
    Path("configs/tasks.json").write_text(json.dumps({"upos": SEQ}))
    Path("configs/c.json").write_text(
        '{ A: { train_data_path: "data/train.conllu", word_idx: 1, tasks: import "tasks.json" } }'
    )
    assert list(load_config(["configs/c.json"]).tasks()) == ["upos"]


def test_options_come_from_default_decoder_then_task_type_then_task() -> None:
    params = {
        "decoders": {
            "default_decoder": {"dropout": 0.1, "loss_weight": 0.1, "layers_to_use": [1]},
            "seq": {"loss_weight": 0.2, "layers_to_use": [2]},
        }
    }
    config = load(task(layers_to_use=[3]), params=params).tasks()["upos"]
    assert (config.dropout, config.loss_weight, config.layers_to_use) == (0.1, 0.2, [3])


SENTENCE = {"task_type": "classification", "column_idx": -1}


def test_sentences_have_other_poolings_than_words() -> None:
    for pooling in ("first", "last", "mean", "max", "attention"):
        config = load(dataset(tasks={"mood": SENTENCE | {"pooling": pooling}}))
        assert config.tasks()["mood"].pooling_or_default == pooling
    assert faults(lambda: load(dataset(tasks={"mood": SENTENCE | {"pooling": "first_last"}}))) == [
        "c.json: A -> tasks -> mood -> pooling: expected one of first, last, mean, max, attention for a sentence, "
        "found 'first_last'; did you mean 'first'?"
    ]


@pytest.mark.parametrize("options", [{"task_type": "mlm"}, {"task_type": "tok"}])
def test_items_of_one_subword_have_no_pooling(options: dict[str, Any]) -> None:
    (fault,) = faults(lambda: load(dataset(tasks={"task": options | {"pooling": "mean"}})))
    assert "'" + options["task_type"] + "' does not have this option: its items are single subwords" in fault


def test_a_metric_of_the_default_decoder_need_only_suit_the_tasks_that_take_it() -> None:
    params = {"decoders": {"default_decoder": {"metric": "f1_macro"}}}
    assert load(task(), params=params).tasks()["upos"].metric == "f1_macro"


@pytest.mark.parametrize("params", [{}, {"training": {"num_epochs": 3}}, {"datasets": {"max_sents": 7}}])
def test_params_are_laid_over_the_defaults(params: dict[str, Any]) -> None:
    found = load(dataset(), params=params).params.model_dump()
    default = json.loads(DEFAULT_PARAMS.read_text())
    expected = {**default, **{key: {**default[key], **value} for key, value in params.items()}}
    assert found == expected


def test_every_default_is_in_params() -> None:
    default = json.loads(DEFAULT_PARAMS.read_text())
    assert load(dataset()).params.model_dump() == default
    # Each task says where its labels and weights are.
    given = {"task_type", "column_idx", "column_idxs", "size", "weight_column"}
    for name, decoder in DECODERS.items():
        options = {**default["decoders"]["default_decoder"], **default["decoders"].get(name, {})}
        required = {key for key, field in decoder.Options.model_fields.items() if field.is_required()}
        assert required >= set(decoder.Options.model_fields) - given, "an option has its default in the code"
        assert required - given <= set(options)


def test_datasets_take_their_defaults_from_params() -> None:
    config = load(
        dataset(), dataset(max_sents=2), params={"datasets": {"max_sents": 7, "skip_first_line": True}}
    )
    assert [item.max_sents for item in config.datasets.values()] == [7, 2]
    assert config.datasets["A"].skip_first_line


def test_params_of_the_package_are_found_by_name_unless_the_folder_has_a_file_of_that_name() -> None:
    assert load(dataset(), parameters_config="params-machamp.json").params.training.num_epochs == 20
    Path("params-machamp.json").write_text('{"training": {"num_epochs": 3}}')
    assert load(dataset(), parameters_config="params-machamp.json").params.training.num_epochs == 3
    with pytest.raises(ConfigError, match=r"^treebank\.json: no such file"):
        load(dataset(), parameters_config="treebank.json")


ONE_TASK = "p.json: training -> task_weighting: '{}' has no effect with a single task, expected 'static'"
ONE_PER_BATCH = (
    "p.json: training -> task_weighting: 'famo' has no effect, because each batch has a single task; expected "
    "batching.diverse true"
)


def two_tasks() -> dict[str, Any]:
    return dataset(tasks={"upos": SEQ, "lemma": {"task_type": "string2string", "column_idx": 2}})


def switched_off() -> dict[str, Any]:
    return dataset(tasks={"upos": SEQ, "off": {**SEQ, "loss_weight": 0}})


@pytest.mark.parametrize(
    ("scheme", "datasets", "others", "expected"),
    [
        ("famo", [dataset()], {}, [ONE_TASK.format("famo")]),
        ("dwa", [dataset()], {}, [ONE_TASK.format("dwa")]),
        ("random", [switched_off()], {}, [ONE_TASK.format("random")]),
        ("uncertainty", [dataset()], {}, []),
        ("famo", [two_tasks()], {}, []),
        ("famo", [dataset(), pairs()], {}, [ONE_PER_BATCH]),
        ("famo", [dataset(), pairs()], {"batching": {"diverse": True}}, []),
        ("famo", [dataset(), pairs()], {"training": {"accumulation_steps": 2}}, []),
        ("dwa", [dataset(), pairs()], {}, []),
    ],
)
def test_task_weights_without_effect_are_reported(
    scheme: str, datasets: list[dict[str, Any]], others: dict[str, Any], expected: list[str]
) -> None:
    training = {**others.get("training", {}), "task_weighting": scheme}
    assert load(*datasets, params={**others, "training": training}).warnings == expected


def test_data_files_need_not_exist_unless_a_model_is_trained() -> None:
    with pytest.raises(ConfigError, match="no such file 'none'"):
        load(dataset(train_data_path="none"))
    assert load(dataset(train_data_path="none"), is_trained=False).datasets["A"].train_data_path == "none"
