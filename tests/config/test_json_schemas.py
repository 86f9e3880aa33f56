"""The JSON Schemas are those of the options classes, and agree with what is read as a config."""

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from machamp_lite.config import load_config
from machamp_lite.config.conversion import converted
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.task_types import BUILT_IN, TaskOptions
from machamp_lite.data.span_schemes import ALIASES
from machamp_lite.errors import ConfigError
from machamp_lite.files.package_files import CONFIGS, SCHEMAS

ROOT = Path(__file__).resolve().parents[2]
VALIDATORS = {
    kind: Draft202012Validator(json.loads(path.read_text(encoding="utf-8"))) for kind, path in SCHEMAS.items()
}
SAMPLES = sorted(CONFIGS.glob("*.json"))
WORDS = {"train_data_path": "words.conllu", "word_idx": 1}
TEXTS = {"train_data_path": "texts.tsv", "sent_idxs": [0]}


def kind_of(path: Path) -> str:
    return "params" if path.name.startswith("params") else "datasets"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_schemas", ROOT / "scripts" / "write_schemas.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.conllu").write_text("1\ta\tb\tX\t_\n")
    Path("texts.tsv").write_text("a\tX\t0.5\t0.5\n")


def task(task_type: str, **options: Any) -> dict[str, Any]:
    """A dataset config with one task."""
    is_text = BUILT_IN[task_type].level == "sentence"
    return {"A": {**(TEXTS if is_text else WORDS), "tasks": {"t": {"task_type": task_type, **options}}}}


def seq(**options: Any) -> dict[str, Any]:
    return task("seq", column_idx=3, **options)


def accepted(kind: str, config: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the schema accepts a config, and whether it can be loaded."""
    Path("c.json").write_text(json.dumps(config if kind == "datasets" else seq()), encoding="utf-8")
    Path("p.json").write_text(json.dumps(config if kind == "params" else {}), encoding="utf-8")
    try:
        load_config(["c.json"], parameters_config="p.json")
        is_loaded = True
    except ConfigError:
        is_loaded = False
    return VALIDATORS[kind].is_valid(config), is_loaded


def objects(schema: Any, above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The object schemas in a schema, each with its location."""
    if isinstance(schema, dict):
        if "properties" in schema and "if" not in schema:
            yield above, schema
        for key, value in schema.items():
            if key != "if":
                yield from objects(value, f"{above}/{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from objects(value, f"{above}/{number}")


def test_the_files_are_what_the_script_writes(script: ModuleType) -> None:
    for kind, schema in script.schemas().items():
        assert json.loads(SCHEMAS[kind].read_text(encoding="utf-8")) == schema, "run `make schemas`"


def test_a_wheel_has_the_params_and_schemas_of_a_checkout() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    files = {*CONFIGS.glob("params*.json"), *(path.parent for path in SCHEMAS.values())}
    expected = {f"configs/{path.name}": f"machamp_lite/configs/{path.name}" for path in files}
    assert wheel["wheel"]["force-include"] == expected


@pytest.mark.parametrize("kind", SCHEMAS)
def test_schemas_follow_the_draft_and_every_key_has_a_description(kind: str) -> None:
    schema = VALIDATORS[kind].schema
    Draft202012Validator.check_schema(schema)
    found = list(objects(schema))
    assert len(found) > 10
    for where, node in found:
        for key, value in node["properties"].items():
            assert value.get("description"), f"{where}: {key}: add it to docs/reference/configuration.md"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_config_is_valid(path: Path) -> None:
    errors = [error.message for error in VALIDATORS[kind_of(path)].iter_errors(read_jsonnet(path))]
    assert not errors


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_every_config_in_the_docs_is_valid_after_conversion(path: Path) -> None:
    for text in re.findall(r"^```json\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        Path("c.json").write_text(text, encoding="utf-8")
        assert not [error.message for error in VALIDATORS["datasets"].iter_errors(converted("c.json"))]


@pytest.mark.parametrize("task_type", BUILT_IN)
def test_every_option_of_a_task_type_is_in_its_schema_and_no_other(task_type: str) -> None:
    node, model = VALIDATORS["datasets"].schema["$defs"][task_type], BUILT_IN[task_type]
    assert node["properties"].keys() == model.model_fields.keys()
    assert not node["additionalProperties"]
    hidden = {key for key, value in node["properties"].items() if value.get("doNotSuggest")}
    assert hidden == model.unsupported_options.keys()
    assert set(node["properties"]["metric"]["enum"]) == set(model.metrics)


VALID: dict[str, tuple[str, dict[str, Any]]] = {
    "the name of the schema": ("datasets", {"$schema": "dataset.schema.json", **seq()}),
    "the name of the schema of params": ("params", {"$schema": "./params.schema.json", "random_seed": 1}),
    "null for an option without a value": ("datasets", seq(pooling=None, class_weights=None, learning_rate=None)),
    "one additional metric": ("datasets", seq(additional_metrics="f1_macro")),
    "weights by label": ("datasets", seq(class_weights={"X": 2})),
    "a whole number as a decimal": ("datasets", seq(loss_weight=2, layers_to_use=[0, -1])),
    "a column by name": ("datasets", task("classification", column_idx=1, weight_column=2)),
    "columns of a tree": ("datasets", task("dependency", column_idxs=[3, 4])),
    "a tree": ("datasets", task("dependency", column_idx=3)),
    "columns of a distribution": ("datasets", task("probdistr", column_idxs=[2, 3])),
    "no column": ("datasets", {"A": {"train_data_path": "words.conllu", "tasks": {"lm": {"task_type": "mlm"}}}}),
    "an option that is switched off": ("datasets", task("regression", column_idx=2, label_smoothing=0)),
    "a loss with its defaults": ("datasets", task("multiclas", column_idx=1, asymmetric_loss={})),
    "a part of a loss": ("datasets", task("multiclas", column_idx=1, asymmetric_loss={"margin": 0.1})),
    "no params": ("params", {}),
    "params of a task type": ("params", {"decoders": {"mlm": {"label_smoothing": 0}, "seq": {"tau": 1}}}),
    "adapters": (
        "params",
        {"encoder": {"lora": {"rank": 8, "alpha": 16, "dropout": 0.05, "target_modules": None}}},
    ),
    "params of datasets": ("params", {"datasets": {"max_sents": 3, "format": "conllu"}}),
    **{f"scheme {name}": ("datasets", seq(scheme=name)) for name in ALIASES},
}
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a misspelt key of a dataset": ("datasets", {"A": {**seq()["A"], "max_sent": 1}}),
    "a misspelt key of a task": ("datasets", seq(los_weight=1)),
    "a key of another task type": ("datasets", seq(num_beams=3)),
    "an unknown task type": ("datasets", {"A": {**WORDS, "tasks": {"t": {"task_type": "sequ", "column_idx": 3}}}}),
    "no task type": ("datasets", {"A": {**WORDS, "tasks": {"t": {"column_idx": 3}}}}),
    "no column": ("datasets", task("seq")),
    "no columns of a tree": ("datasets", task("dependency")),
    "no columns of a distribution": ("datasets", task("probdistr")),
    "no tasks": ("datasets", {"A": WORDS}),
    "an empty object of tasks": ("datasets", {"A": {**WORDS, "tasks": {}}}),
    "no training file": ("datasets", {"A": {"word_idx": 1, "tasks": seq()["A"]["tasks"]}}),
    "a metric of another task type": ("datasets", seq(metric="las")),
    "an additional metric of another task type": ("datasets", seq(additional_metrics=["las"])),
    "a pooling of texts for words": ("datasets", seq(pooling="attention")),
    "an option that the task type does not have": ("datasets", task("regression", column_idx=2, label_smoothing=0.1)),
    "a number in quotes": ("datasets", seq(dropout="0.1")),
    "a number above the limit": ("datasets", seq(dropout=1.5)),
    "a truth value for a number": ("datasets", {"A": {**seq()["A"], "max_sents": True}}),
    "a name that is no file name": ("datasets", {"A/B": seq()["A"]}),
    "a dataset that is no object": ("datasets", {**seq(), "B": 3}),
    "a schema that is no name": ("datasets", {"$schema": 3, **seq()}),
    "an unknown scheme": ("datasets", seq(scheme="IOB")),
    "an unknown key of a loss": ("datasets", task("multiclas", column_idx=1, asymmetric_loss={"gamma": 1})),
    "a misspelt section": ("params", {"trainning": {}}),
    "a misspelt key of a section": ("params", {"training": {"num_epoch": 3}}),
    "a misspelt task type": ("params", {"decoders": {"seq_bi": {}}}),
    "the columns of a task type": ("params", {"decoders": {"seq": {"column_idx": 3}}}),
    "an option of one task type for all": ("params", {"decoders": {"default_decoder": {"num_beams": 3}}}),
    "a part of the adapters": ("params", {"encoder": {"lora": {"rank": 8}}}),
    "an unknown tracker": ("params", {"training": {"trackers": ["excel"]}}),
    "a list that is too long": ("params", {"training": {"optimizer": {"betas": [0.9, 0.9, 0.9]}}}),
    "a schema of params that is no name": ("params", {"$schema": {}}),
}


@pytest.mark.parametrize(("kind", "config"), VALID.values(), ids=VALID)
def test_valid_configs_are_accepted_by_both(kind: str, config: dict[str, Any]) -> None:
    assert accepted(kind, config) == (True, True)


@pytest.mark.parametrize(("kind", "config"), WRONG.values(), ids=WRONG)
def test_wrong_configs_are_refused_by_both(kind: str, config: dict[str, Any]) -> None:
    assert accepted(kind, config) == (False, False)


def test_the_options_of_all_task_types_have_no_type_of_their_own() -> None:
    """Only a task type may narrow an option, so that ``default_decoder`` has one schema."""
    shared = VALIDATORS["params"].schema["properties"]["decoders"]["properties"]["default_decoder"]["properties"]
    assert shared.keys() == TaskOptions.model_fields.keys() - {"task_type", "column_idx", "weight_column"}
