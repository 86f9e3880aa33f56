"""What README and docs show is true: JSON is a config, commands run, links lead somewhere."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import DEFAULT_PARAMS
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.decoders import DECODERS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "data").rglob("*.md"))]
# What it shows is done by tests/test_new_task_type.py, in a copy of the project.
DONE_IN_A_COPY = ROOT / "docs" / "developing" / "new_task_type.md"
TASK_TYPE_INDEX = ROOT / "docs" / "using" / "task_types.md"
GUARANTEES = ROOT / "docs" / "developing" / "guarantees.md"
TASK_TYPES = {path.stem: path for path in sorted((ROOT / "docs" / "using" / "task_types").glob("*.md"))}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
every_task_type = pytest.mark.parametrize("task_type", TASK_TYPES)


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(page.read_text(encoding="utf-8")) if name == language]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout, to run commands in."""
    for name in ("data", "configs"):
        os.symlink(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@every_page
def test_every_json_block_is_a_config(page: Path, workplace: Path) -> None:
    for number, text in enumerate(blocks(page, "json")):
        path = workplace / f"block{number}.json"
        path.write_text(text, encoding="utf-8")
        assert load_config([path]).datasets


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
        assert program == "python"
        script, *arguments = arguments
        if script == "train.py":
            # The tiny encoder and one epoch stand in for the real ones; all else is as shown.
            extra = [] if "--parameters_config" in arguments else ["--parameters_config", tiny_params]
            assert cli.train([*arguments, *extra, "--set", "training.num_epochs=1"]) == 0, (
                capsys.readouterr().err
            )
        elif script == "predict.py":
            assert cli.predict(arguments) == 0, capsys.readouterr().err
        else:
            assert (ROOT / script).is_file(), line


@every_page
def test_python_blocks_run(page: Path, workplace: Path, tiny_params: str) -> None:
    if page == DONE_IN_A_COPY:
        pytest.skip("done in a copy of the project")
    for text in blocks(page, "python"):
        (workplace / "my.json").write_text(blocks(page, "json")[0], encoding="utf-8")
        small = f'parameters_config="{tiny_params}", overrides'
        assert "overrides" in text
        exec(compile(text.replace("overrides", small), str(page), "exec"), {})


@every_page
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@every_page
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


def test_every_default_is_documented() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES if page != DONE_IN_A_COPY)
    params = (ROOT / "configs" / "params.json").read_text(encoding="utf-8")
    missing = [name for name in sorted(set(re.findall(r'"(\w+)":', params))) if name not in text]
    assert not missing


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


def test_every_task_type_has_a_page_and_stands_in_the_tables() -> None:
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
    assert all(f"`{metric}`" in text for metric in decoder.Options.metrics)
    assert f"`{main_metrics()[task_type]}` (main)" in text


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
        scores = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))[0]["dev"][name]
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
