"""Every config in MaChAmp's public history runs as it is, or says in one line what to write instead."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machamp_configs import BROKEN_FILES, DATASET_CONFIGS, PARAMS, V1, V4, dataset_config, params_of

from machamp_lite.cli import main as cli
from machamp_lite.config import Config, load_config
from machamp_lite.config.conversion import converted
from machamp_lite.config.machamp_compat.tables import DATASET_KEYS, TASK_KEYS
from machamp_lite.errors import ConfigError

ONE_TASK = "validation word_idx=1: dependency 6, seq 3"
DATASET_IDS = [f"{version} {text[:90]}" for version, _, text in DATASET_CONFIGS]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, value: Any) -> str:
    Path(name).write_text(json.dumps(value), encoding="utf-8")
    return name


def load_dataset(text: str, name: str = "c.json", **options: Any) -> Config:
    write(name, dataset_config(text, Path.cwd()))
    return load_config([name], **options)


def load_params(params: dict[str, Any], name: str = "p.json") -> Config:
    return load_dataset(ONE_TASK, parameters_config=write(name, params))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# The warnings of dataset configs, without the location.
EXPECTED_WARNINGS = {
    "copy_other_columns": "has no effect: columns that belong to no task are always copied",
    "adaptive": "has no effect: labels are always predicted with an exact softmax",
    "test_data_path": "has no effect: test files are not read in training; predict them with: predict.py RUN INPUT "
    "OUTPUT",
    "enc_dataset_embed_idx": "the ids of datasets are read by the decoders, not by the encoder",
}


@pytest.mark.parametrize("text", [text for _, _, text in DATASET_CONFIGS], ids=DATASET_IDS)
def test_every_dataset_config_is_read_and_converted(text: str, caplog: pytest.LogCaptureFixture) -> None:
    given = dataset_config(text, Path.cwd())
    config = load_dataset(text)
    assert len(config.tasks()) == sum(len(dataset["tasks"]) for dataset in given.values())
    for name, dataset in config.datasets.items():
        has_dev = not given[name].keys().isdisjoint({"dev_data_path", "validation_data_path"})
        assert (dataset.dev_data_path is not None) == has_dev
    expected = [key for key in EXPECTED_WARNINGS if key in text]
    for line, key in zip(warnings(caplog), expected, strict=True):
        assert line.endswith(f" -> {key}: {EXPECTED_WARNINGS[key]}")
    caplog.clear()
    converted_config = load_config([write("new.json", converted("c.json"))])
    assert converted_config.datasets == config.datasets
    assert len(warnings(caplog)) == len(expected), "only the conversion warns"


@pytest.mark.parametrize(("version", "base", "changes"), [(row[0], *row[2:]) for row in PARAMS])
def test_every_params_file_is_read_and_converted(version: str, base: dict[str, Any], changes: dict[str, Any]) -> None:
    params = params_of(base, changes)
    config = load_params(params)
    assert load_params(converted("p.json"), "new.json").params == config.params
    found = config.params.model_dump()
    training, decoders = found["training"], found["decoders"]
    given = params["training" if version == "0.4" else "trainer"]
    assert training["num_epochs"] == given["num_epochs"]
    assert training["optimizer"]["lr"] == given["optimizer"]["lr"]
    assert training["optimizer"]["betas"] == [0.9, 0.99]
    assert training["learning_rate_scheduler"]["decay_factor"] == given["learning_rate_scheduler"]["decay_factor"]
    assert training["keep_top_n"] == 1
    if version == "0.1":
        assert (found["encoder"]["dropout"], decoders["default_decoder"]["label_smoothing"]) == (0.5, 0.03)
        assert (decoders["default_decoder"]["layers_to_use"], training["patience"]) == ("all", 5)
        assert found["batching"]["max_tokens"] == 3200
    else:
        models = [value for key, value in params.items() if key == "transformer_model"] or [
            params["dataset_reader"]["tokenizer"]["model_name"]
        ]
        assert found["transformer_model"] == models[0]
        assert found["batching"]["max_tokens"] == 1024
    if version in ("0.2", "0.3"):
        assert found["encoder"]["max_input_length"] == params["dataset_reader"]["source_max_tokens"]
        assert (decoders["seq2seq"]["num_beams"], decoders["seq2seq"]["max_output_length"]) == (6, 128)
        assert decoders["dependency"]["tag_representation_dim"] == 256


def test_the_tables_are_complete() -> None:
    files: dict[str, Counter[str]] = {"datasets": Counter(), "params": Counter()}
    for version, number, _ in DATASET_CONFIGS:
        files["datasets"][version] += number
    for version, number, *_ in PARAMS:
        files["params"][version] += number
    assert files == {
        "datasets": {"0.1": 4, "0.2": 23, "0.3": 7, "0.4": 29},
        "params": {"0.1": 2, "0.2": 24, "0.3": 10, "0.4": 20},
    }
    # One more file lacks a comma: 63 of 64 dataset configs and all of 56 params can be read.
    assert BROKEN_FILES == {"0.2": 1}


def test_a_key_without_effect_has_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    load_params(params_of(V1, {}))
    keys = [line.split(": ")[1].rpartition(" -> ")[2] for line in warnings(caplog)]
    assert sorted(keys) == sorted(
        ["layer_dropout", "word_dropout", "dropout", "grad_clipping", "cuda_device", "type", "adaptive"]
    )


# Each has a line of its own, which names the key.
REFUSED = {
    "trainer -> optimizer -> type: 'sgd' is not supported yet, expected 'bert_adam' or 'huggingface_adamw' or 'adamw'":
        {"trainer": {"optimizer": {"type": "sgd"}}},
    "model -> own_part -> size: has no counterpart in machamp_lite, expected no such key":
        {"model": {"own_part": {"size": 3}}},
    "trainer -> optimizer -> rho: unknown key": {"trainer": {"optimizer": {"rho": 0.9}}},
    "trainer -> num_epochs: expected a whole number, found 'x'": {"trainer": {"num_epochs": "x"}},
    "trainer -> num_epochs: found this and training -> num_epochs, its newer name; expected one of them":
        {"trainer": {"num_epochs": 3}, "training": {"num_epochs": 3}},
    "dataset_reader -> tokenizer -> model_name: found this and dataset_reader -> token_indexers -> tokens -> "
    "model_name with another value; expected one of them": {
        "dataset_reader": {"tokenizer": {"model_name": "a"}, "token_indexers": {"tokens": {"model_name": "b"}}}
    },
    "model -> decoders -> sequ -> metric: ": {"model": {"decoders": {"sequ": {"metric": 3}}}},
    "trainer: has no counterpart in machamp_lite, expected no such key": {"trainer": 3},
}  # fmt: skip


@pytest.mark.parametrize(("line", "params"), REFUSED.items())
def test_what_has_no_counterpart_is_refused_by_its_name(line: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_params(params)
    assert caught.value.faults[0].startswith(f"p.json: {line.rpartition(' -> metric')[0] or line}")
    if line.startswith("model -> decoders"):
        assert "unknown key" in caught.value.faults[0]


METRICS = [
    ("seq", "acc", "accuracy"),
    ("seq", "micro-f1", "f1_micro"),
    ("classification", "macro-f1", "f1_macro"),
    ("seq", "multi_span_f1", "span_f1"),
    ("seq_bio", "machamp_span_f1", "span_f1"),
    ("multiseq", "acc", "multi_acc"),
    ("multiseq", "micro-f1", "multi_f1_micro"),
    ("multiseq", "multi_span_f1", "multi_f1_micro"),
    ("dependency", "LAS", "las"),
]


@pytest.mark.parametrize(("task_type", "old", "new"), METRICS)
def test_older_names_of_metrics_are_read(task_type: str, old: str, new: str) -> None:
    column = -1 if task_type == "classification" else 6
    (task,) = load_dataset(f'dev word_idx=1: {task_type} {column} metric="{old}"').tasks().values()
    assert task.metric == new
    (task,) = load_dataset(f'dev word_idx=1: {task_type} {column} additional_metrics=["{old}"]').tasks().values()
    assert task.additional_metrics == [new]


def test_a_metric_that_measures_something_else_has_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    load_dataset('dev word_idx=1: multiseq 5 metric="multi_span_f1"')
    assert warnings(caplog) == [
        "c.json: DATA0 -> tasks -> multiseq00 -> metric: 'multiseq' has no metric 'multi_span_f1', multi_f1_micro is "
        "used instead"
    ]


def test_tasks_of_older_types_are_read() -> None:
    tasks = load_dataset('dev word_idx=1: seq 3 decoder_type="crf", multiseq column_idxs=[5]').tasks()
    assert {(task.task_type, task.column_idx) for task in tasks.values()} == {("seq_bio", 3), ("multiseq", 5)}
    assert load_dataset("dev word_idx=1 max_sents=-1 max_words=-1: seq 3").datasets["DATA0"].max_sents is None


OVERRIDES = {
    "trainer.num_epochs=3": lambda config: config.params.training.num_epochs == 3,
    "model.decoders.default.loss_weight=.5": lambda config: config.tasks()["seq01"].loss_weight == 0.5,
    "DATA0.dec_dataset_embed_idx=-1": lambda config: config.datasets["DATA0"].dataset_embed_idx == -1,
    "DATA0.tasks.seq01.loss_weight=1.": lambda config: config.tasks()["seq01"].loss_weight == 1,
    "trainer.use_amp=false": lambda config: config.params.training.precision == "fp32",
    "training.optimizer.type=adamw": lambda config: True,
    "DATA0.max_sents=-1": lambda config: config.datasets["DATA0"].max_sents is None,
    "DATA0.tasks.seq01.metric=micro-f1": lambda config: config.tasks()["seq01"].metric == "f1_micro",
    'DATA0.tasks.x={"task_type": "seq", "column_idxs": 5}': lambda config: config.tasks()["x"].column_idx == 5,
    "encoder.layers_to_use=[-2]": lambda config: config.tasks()["seq01"].layers_to_use == [-2],
}


@pytest.mark.parametrize(("override", "holds"), OVERRIDES.items())
@pytest.mark.parametrize("base", [V1, V4], ids=["0.1", "0.4"])
def test_values_on_the_command_line_may_have_older_names(base: dict[str, Any], override: str, holds: Any) -> None:
    config = load_dataset(ONE_TASK, parameters_config=write("p.json", params_of(base, {})), overrides=[override])
    assert holds(config)


OVERRIDE_WARNINGS = {
    "DATA0.copy_other_columns=true": "DATA0 -> copy_other_columns: has no effect: columns that belong to no task are",
    "DATA0.tasks.seq01.adaptive=true": "DATA0 -> tasks -> seq01 -> adaptive: has no effect: labels are always",
    "model.word_dropout=.2": "model -> word_dropout: has no effect: words are never dropped",
}


@pytest.mark.parametrize(("override", "line"), OVERRIDE_WARNINGS.items())
def test_values_without_effect_are_named_with_their_flag(
    override: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    load_dataset(ONE_TASK, overrides=[override])
    (found,) = warnings(caplog)
    assert found.startswith(f"--set {override}: {line}")


def test_values_without_a_counterpart_are_refused_with_their_flag() -> None:
    with pytest.raises(ConfigError) as caught:
        load_dataset(ONE_TASK, overrides=["trainer.optimizer.type=sgd"])
    assert caught.value.faults[0].startswith("--set trainer.optimizer.type=sgd: trainer -> optimizer -> type: 'sgd' is")


LEAVES = {"0.1": V1, "0.2": PARAMS[2][2], "0.3": PARAMS[-20][2], "0.4": V4}


@pytest.mark.parametrize("version", LEAVES)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_part_of_params_is_converted_to_the_same_config(version: str, data: st.DataObject) -> None:
    base = LEAVES[version]
    keys = data.draw(st.lists(st.sampled_from(sorted(base)), min_size=1, unique=True))
    params = params_of({key: base[key] for key in keys}, {})
    config = load_params(params)
    new = converted("p.json")
    assert load_params(new, "new.json").params == config.params
    assert not new or converted("new.json") == new


def test_the_reference_names_every_key_of_the_tables() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    section = page.partition("## Keys of MaChAmp")[2]
    assert not {key for key in (*TASK_KEYS, *DATASET_KEYS) if f"`{key}`" not in section} - {"metric"}


# The examples of MaChAmp's documentation on weights, as they are written there.
DOCUMENTED = """\
{
    "UD-EWT": {
        "train_data_path": "data0",
        "validation_data_path": "data0",
        "word_idx": 1,
        "tasks": {
            "upos": {
                "task_type": "string2string",
                "column_idx": 2,
                "loss_weight": .5,
            },
            "dependency": {
                "task_type": "dependency",
                "column_idx": 6,
            }
        }
    },
    "LABELS": {
        "train_data_path": "data1",
        "validation_data_path": "data1",
        "sent_idxs": [0],
        "tasks": {
            "labels": {
                "task_type": "classification",
                // ...
                "column_idx": 1,
                "class_weights": "balanced"
            }
        }
    }
}
"""


def test_the_examples_of_the_documentation_run(tiny_params: str) -> None:
    dataset_config("dev word_idx=1: string2string 2, dependency 6 | dev sent_idxs=[0]: classification 1", Path.cwd())
    Path("c.json").write_text(DOCUMENTED, encoding="utf-8")
    assert load_config(["c.json"]).tasks()["upos"].loss_weight == 0.5
    flags = ["--parameters_config", tiny_params, "--set", "training.num_epochs=1", "--device", "cpu"]
    assert cli.train(["--dataset_config", "c.json", *flags, "--model_dir", "run"]) == 0


# Configs with all keys and task types that differ; seq2seq requires another kind of encoder.
RUNS = {
    "0.1": [DATASET_CONFIGS[3][2], DATASET_CONFIGS[1][2]],
    "0.2": ["test_data_path dataset_embed_idx=-1 validation word_idx=1: multiseq column_idxs=5, seq_bio 3, "
            "classification -1 | max_sents=1000 validation: unsupervised"],
    "0.3": [DATASET_CONFIGS[20][2], DATASET_CONFIGS[21][2], DATASET_CONFIGS[23][2]],
    "0.4": [DATASET_CONFIGS[39][2], DATASET_CONFIGS[40][2], DATASET_CONFIGS[42][2], DATASET_CONFIGS[43][2]],
}  # fmt: skip


@pytest.mark.parametrize("version", RUNS)
def test_a_config_of_each_version_is_trained(
    version: str, encoder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base, changes = next((base, changes) for name, _, base, changes in PARAMS if name == version)
    params = write("p.json", params_of(base, changes))
    sets = [f"transformer_model={encoder}", "encoder.max_input_length=64", "training.num_epochs=1",
            "training.report=false",
            "decoders.dependency.arc_representation_dim=8", "decoders.dependency.tag_representation_dim=8",
            "decoders.default_decoder.layers_to_use=all"]  # fmt: skip
    flags = [part for value in sets for part in ("--set", value)]
    for number, text in enumerate(RUNS[version]):
        write("c.json", dataset_config(text, Path.cwd()))
        run = ["--dataset_configs", "c.json", "--parameters_config", params, "--model_dir", f"run{number}"]
        assert cli.train([*run, "--device", "-1", *flags]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("kind", ["t5", "wordpiece"])
def test_translation_requires_an_encoder_with_a_decoder(
    kind: str, encoders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    params = write("p.json", params_of(*PARAMS[2][2:]))
    write("c.json", dataset_config("sent_idxs=[0] validation: seq2seq 1", Path.cwd()))
    sets = [f"transformer_model={encoders[kind]}", "encoder.max_input_length=64", "training.num_epochs=1",
            "training.report=false",
            "decoders.seq2seq.max_output_length=4"]  # fmt: skip
    flags = [part for value in sets for part in ("--set", value)]
    run = ["--dataset_config", "c.json", "--parameters_config", params, "--model_dir", "run", "--device", "-1"]
    code = cli.train([*run, *flags])
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert code == (0 if kind == "t5" else 2), last_line
    if kind != "t5":
        assert "transformer_model" in last_line
