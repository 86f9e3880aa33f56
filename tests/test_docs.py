"""README and docs are true: JSON blocks are configs, commands run, links exist, references are complete."""

import ast
import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from machamp_lite.cli import commands
from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import DEFAULT_PARAMS
from machamp_lite.config.task_types import (
    CLASS_METRICS,
    AsymmetricLoss,
    DistributionBalancedLoss,
    TaskOptions,
)
from machamp_lite.decoders import DECODERS
from machamp_lite.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "data").rglob("*.md"))]
# Its blocks are added to a copy of the project by tests/test_new_task_type.py.
DONE_IN_A_COPY = ROOT / "docs" / "developing" / "new_task_type.md"
USING, REFERENCE_PAGES, DEVELOPING = (ROOT / "docs" / name for name in ("using", "reference", "developing"))
TASK_TYPE_INDEX = USING / "task_types.md"
TROUBLESHOOTING = USING / "troubleshooting.md"
REFERENCE = REFERENCE_PAGES / "configuration.md"
FLAGS = REFERENCE_PAGES / "command_line.md"
DATA = REFERENCE_PAGES / "data.md"
# Files that the page about data shows, with the language of their block.
EXAMPLE_FILES = {"reviews.csv": "csv", "ner.txt": "conll", "ner.jsonl": "jsonl"}
METRICS_PAGE = REFERENCE_PAGES / "metrics.md"
ARCHITECTURE = DEVELOPING / "architecture.md"
GUARANTEES = DEVELOPING / "guarantees.md"
TASK_TYPES = {path.stem: path for path in sorted((USING / "task_types").glob("*.md"))}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINKING_PAGES = [*PAGES, *(path for path in sorted(ROOT.glob("*.md")) if path not in PAGES)]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
every_linking_page = pytest.mark.parametrize("page", LINKING_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
every_task_type = pytest.mark.parametrize("task_type", TASK_TYPES)


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text(encoding="utf-8")) if name == language]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout, to run commands in."""
    for name in ("data", "configs"):
        os.symlink(ROOT / name, tmp_path / name)
    for name, language in EXAMPLE_FILES.items():
        (tmp_path / name).write_text(blocks(DATA, language)[0], encoding="utf-8")
    rows = [json.loads(line) for line in blocks(DATA, "jsonl")[0].splitlines()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "ner.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@every_page
def test_every_json_block_is_a_config(page: Path, workplace: Path) -> None:
    for number, text in enumerate(blocks(page, "json")):
        path = workplace / f"block{number}.json"
        path.write_text(text, encoding="utf-8")
        assert load_config([path]).datasets


def test_the_data_files_that_are_shown_can_be_read(
    workplace: Path, tiny_params: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = blocks(DATA, "json")
    assert len(shown) == len(EXAMPLE_FILES) + 1
    for text in shown:
        (workplace / "my.json").write_text(text, encoding="utf-8")
        flags = ["--dataset_configs", "my.json", "--parameters_config", tiny_params, "--check"]
        assert cli.train(flags) == 0, capsys.readouterr().err


@pytest.mark.slow
@every_page
def test_every_command_runs(
    page: Path, workplace: Path, tiny_params: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if page == DONE_IN_A_COPY:
        pytest.skip("done in a copy of the project")
    shown = blocks(page, "json")
    if shown:
        (workplace / "my.json").write_text(shown[0], encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in "".join(blocks(page, "bash")).splitlines():
        program, *arguments = shlex.split(line)
        if program == "make":
            assert set(arguments) <= targets
            continue
        if program == "machamp-lite":
            small = ["--parameters_config", tiny_params, "--set", "training.num_epochs=1"]
            parser = commands.COMMANDS[arguments[0]].parser("machamp-lite")
            if "parameters_config" not in {action.dest for action in parser._actions}:
                small = []
            assert commands.main([*arguments, *small]) == 0, capsys.readouterr().err
            continue
        assert program == "python"
        script, *arguments = arguments
        if script == "train.py":
            # A tiny encoder and one epoch, so that this is fast; everything else is as shown.
            extra = [] if "--parameters_config" in arguments else ["--parameters_config", tiny_params]
            assert cli.train([*arguments, *extra, "--set", "training.num_epochs=1"]) == 0, (
                capsys.readouterr().err
            )
        elif script == "predict.py":
            assert cli.predict(arguments) == 0, capsys.readouterr().err
        else:
            assert (ROOT / script).is_file(), line


@pytest.mark.slow
@every_page
def test_python_blocks_run(page: Path, workplace: Path, tiny_params: str) -> None:
    if page == DONE_IN_A_COPY:
        pytest.skip("done in a copy of the project")
    # As in a session, a block may use the names of earlier ones.
    names: dict[str, Any] = {}
    for text in blocks(page, "python"):
        (workplace / "my.json").write_text(blocks(page, "json")[0], encoding="utf-8")
        small = f'params="{tiny_params}", overrides'
        assert "overrides" in text or "train(" not in text
        exec(compile(text.replace("overrides", small), str(page), "exec"), names)


@every_linking_page
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@every_linking_page
def test_links_to_headings_lead_to_them(page: Path) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        assert heading in headings, f"{target}#{heading}"


def test_every_page_of_docs_is_linked_from_the_index() -> None:
    """Pages of task types are linked from an index for them alone."""
    docs = ROOT / "docs"
    readme, index = ((folder / "README.md").read_text(encoding="utf-8") for folder in (ROOT, docs))
    assert "(docs/README.md)" in readme
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md") if page.parent.name != "task_types"}
    assert {page for page in pages if f"({page})" not in index} == {"README.md"}
    task_types = TASK_TYPE_INDEX.read_text(encoding="utf-8")
    assert all(f"task_types/{name}.md" in task_types for name in DECODERS)


def table_rows(page: Path, *, end: str = "") -> list[list[str]]:
    """The cells of all table rows of a page, up to the heading ``end``."""
    text = page.read_text(encoding="utf-8")
    lines = (text[: text.index(f"\n## {end}\n")] if end else text).splitlines()
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]


def default_values() -> dict[str, Any]:
    """Each key of params.json, as the reference names it, with its default."""
    params = read_jsonnet(DEFAULT_PARAMS)
    decoders, datasets = params.pop("decoders"), params.pop("datasets")
    values: dict[str, Any] = {**decoders["default_decoder"], **datasets}
    values |= {key: value for own in decoders.values() for key, value in own.items() if key not in values}

    def flatten(prefix: str, node: Any) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                flatten(f"{prefix}{key}.", value)
            else:
                values[f"{prefix}{key}"] = value

    flatten("", params)
    losses = {"asymmetric_loss": AsymmetricLoss, "distribution_balanced_loss": DistributionBalancedLoss}
    values |= {
        f"{loss}.{key}": field.default for loss, model in losses.items() for key, field in model.model_fields.items()
    }
    # These differ by task type.
    return {key: value for key, value in values.items() if key not in ("metric", "additional_metrics")}


def test_the_reference_has_every_key_with_its_default() -> None:
    rows = table_rows(REFERENCE, end="Keys of MaChAmp")
    for key, value in default_values().items():
        defaults = [row[1] for row in rows if f"`{key}`" in row[0]]
        assert len(defaults) == 1, key
        assert json.dumps(value) in defaults[0], f"{key}: expected {json.dumps(value)}, found {defaults[0]}"


def test_the_reference_has_every_flag() -> None:
    text = FLAGS.read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "machamp_lite" / "cli").glob("*.py"))
    flags = set(re.findall(r'"(--\w+)"', source))
    assert "--topn" in flags
    assert not {flag for flag in flags if flag not in text}


def test_the_reference_has_every_metric() -> None:
    described = " ".join(row[0] for row in table_rows(METRICS_PAGE))
    # Scores of classes are described by their two parts.
    parts = {part for name in CLASS_METRICS for part in name.split("_")}
    assert not {name for name in (METRICS.keys() - CLASS_METRICS) | parts if f"`{name}`" not in described}


def test_every_explained_message_is_in_the_code() -> None:
    """Up to numbers and names, which the page writes as N, FILE, NAME or dots."""
    source = message_texts()
    quoted = [row[0] for row in table_rows(TROUBLESHOOTING)]
    quoted = [text for cell in quoted for text in re.findall(r"`([^`]*)`", cell) if " " in text]
    assert len(quoted) > 8
    for text in quoted:
        parts = re.split(r"\.{3}|\b(?:N|FILE|NAME)\b|\d[\d:%.]*", text)
        longest = max(parts, key=len).strip(" :'")
        assert longest in source, f"{text}: found no message with '{longest}'"


def message_texts() -> str:
    """All strings of the package; what f-strings and % fill in is left out."""
    texts = []
    for path in (ROOT / "machamp_lite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_the_architecture_names_every_layer_and_only_files_that_exist() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    layers = {path.stem for path in (ROOT / "machamp_lite").iterdir() if path.suffix == ".py" or path.is_dir()}
    shown = set(re.findall(r"^ {4}.{18} (\w+)  ", text, re.MULTILINE))
    assert layers - {"__pycache__"} == shown
    for path in re.findall(r"`((?:machamp_lite|tests)/[^`]*)`", text):
        assert (ROOT / path).exists(), path


def test_every_task_type_has_an_example_that_can_be_trained(
    workplace: Path, tiny_params: str, encoders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = set()
    for path in sorted(Path("configs").glob("*.json")):
        if path.name.startswith("params"):
            continue
        tasks = load_config([path]).tasks().values()
        found |= {task.task_type for task in tasks}
        kind = (
            "t5"
            if any(DECODERS[task.task_type].language_model == "sequence" for task in tasks)
            else "wordpiece"
        )
        flags = [
            "--parameters_config",
            tiny_params,
            "--set",
            f"transformer_model={encoders[kind]}",
            "--check",
        ]
        assert cli.train(["--dataset_configs", str(path), *flags]) == 0, capsys.readouterr().err
    assert found == set(DECODERS)


def test_every_task_type_has_a_page_and_is_in_the_tables() -> None:
    assert set(TASK_TYPES) == set(DECODERS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    index = TASK_TYPE_INDEX.read_text(encoding="utf-8")
    for name, metric in main_metrics().items():
        assert re.search(rf"^\| \[`{name}`\].*\| {metric}\b", readme, re.MULTILINE), name
        assert re.search(rf"^\| \[{name}\].*\| `{metric}`", index, re.MULTILINE), name


@every_task_type
def test_the_page_of_a_task_type_has_its_options_and_metrics(task_type: str) -> None:
    decoder, text = DECODERS[task_type], TASK_TYPES[task_type].read_text(encoding="utf-8")
    own_options = set(decoder.Options.model_fields) - set(TaskOptions.model_fields)
    assert all(f"`{option}`" in text for option in (*own_options, *decoder.Options.unsupported_options))
    classes = set(CLASS_METRICS) & set(decoder.Options.metrics)
    assert all(f"`{metric}`" in text for metric in set(decoder.Options.metrics) - classes)
    assert ("metrics.md#scores-of-classes" in text) == bool(classes)
    assert f"`{main_metrics()[task_type]}` (main)" in text


@pytest.mark.slow
@every_task_type
def test_the_configs_of_a_task_type_are_trained_and_predict(
    task_type: str,
    workplace: Path,
    tiny_params: str,
    encoders: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = blocks(TASK_TYPES[task_type], "json")
    assert shown
    kind = "t5" if DECODERS[task_type].language_model == "sequence" else "wordpiece"
    small = [
        "training.num_epochs=1",
        "decoders.seq2seq.max_output_length=6",
        f"transformer_model={encoders[kind]}",
    ]
    sets = [part for override in small for part in ("--set", override)]
    for number, text in enumerate(shown):
        path, run, output = f"config{number}.json", f"runs/{number}", f"output{number}"
        Path(path).write_text(text, encoding="utf-8")
        ((name, dataset),) = json.loads(text).items()
        assert task_type in [task["task_type"] for task in dataset["tasks"].values()]
        flags = ["--dataset_configs", path, "--parameters_config", tiny_params, "--model_dir", run]
        assert cli.train([*flags, *sets]) == 0, capsys.readouterr().err
        scores = json.loads(Path(run, "history.json").read_text(encoding="utf-8"))[0]["dev"][name]
        assert scores.keys() == dataset["tasks"].keys()
        dev = dataset["dev_data_path"]
        assert cli.predict([run, dev, output]) == 0, capsys.readouterr().err
        lines = Path(output).read_text(encoding="utf-8").splitlines()
        assert len(lines) == len(Path(dev).read_text(encoding="utf-8").splitlines())


def main_metrics() -> dict[str, str]:
    """The main metric of each task type, if configs say nothing."""
    decoders = read_jsonnet(DEFAULT_PARAMS)["decoders"]
    default = decoders["default_decoder"]["metric"]
    return {name: decoders.get(name, {}).get("metric", default) for name in DECODERS}


def test_every_guarantee_names_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", GUARANTEES.read_text(encoding="utf-8"))
    assert len(named) > 80
    for path, name in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"
