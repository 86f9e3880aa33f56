"""What README and docs show is true: JSON is a config, commands run, links lead somewhere."""

import os
import re
import shlex
from pathlib import Path

import pytest

from machamp_lite import cli
from machamp_lite.config import load_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "README.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


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
    shown = blocks(page, "json")
    if shown:
        (workplace / "my.json").write_text(shown[0], encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
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
            assert cli.train([*arguments, *extra, "--set", "training.num_epochs=1"]) == 0, capsys.readouterr().err
        elif script == "predict.py":
            assert cli.predict(arguments) == 0, capsys.readouterr().err
        else:
            assert (ROOT / script).is_file(), line


@every_page
def test_python_blocks_run(page: Path, workplace: Path, tiny_params: str) -> None:
    for text in blocks(page, "python"):
        (workplace / "my.json").write_text(blocks(page, "json")[0], encoding="utf-8")
        small = f'parameters_config="{tiny_params}", overrides'
        assert "overrides" in text
        exec(compile(text.replace("overrides", small), str(page), "exec"), {})


@every_page
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/{page.name}" in readme for page in (ROOT / "docs").glob("*.md"))


def test_every_default_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    text += (ROOT / "docs" / "task_types.md").read_text(encoding="utf-8")
    params = (ROOT / "configs" / "params.json").read_text(encoding="utf-8")
    kept_for_later = {"topn"}
    names = set(re.findall(r'"(\w+)":', params)) - kept_for_later
    missing = [name for name in sorted(names) if name not in text]
    assert not missing
