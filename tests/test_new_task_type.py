"""docs/developing/new_task_type.md is true to the letter: a copy with its blocks added has the task type."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "developing" / "new_task_type.md").read_text(encoding="utf-8")
COPIED = ("machamp_lite", "configs", "tests", "data", "train.py", "predict.py", "pyproject.toml")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def insert(path: Path, mark: str, text: str) -> None:
    """Puts text behind the only line of a file that ends with a mark."""
    before = path.read_text(encoding="utf-8")
    assert before.count(f"{mark}\n") == 1
    path.write_text(before.replace(f"{mark}\n", f"{mark}\n{text}"), encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, encoder: str) -> Path:
    """A copy of the project to which was done what the page says; tiny.json is for runs with a tiny encoder."""
    root = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    module, rows = blocks("python")
    (path,) = re.findall(r"^`(machamp_lite/decoders/\w+\.py)`:$", PAGE, re.MULTILINE)
    (root / path).write_text(module, encoding="utf-8")
    defaults, config = blocks("jsonnet")
    insert(root / "configs" / "params.json", '"decoders": {', f"{defaults.rstrip()},\n")
    insert(root / "tests" / "task_type_cases.py", "CASES = [", rows)
    (root / "my.json").write_text(config, encoding="utf-8")
    tiny = {"transformer_model": encoder, "encoder": {"max_input_length": 64}}
    (root / "tiny.json").write_text(json.dumps(tiny), encoding="utf-8")
    return root


def run(copy: Path, line: str, *, code: int = 0) -> str:
    """Runs a command in the copy, training with a tiny encoder; returns what it showed."""
    program, *arguments = shlex.split(line)
    assert program == "python"
    if arguments[0] == "train.py":
        arguments += ["--parameters_config", "tiny.json", "--set", "training.num_epochs=1"]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_new_task_type_has_every_property_of_a_task_type(copy: Path) -> None:
    (line,) = blocks("bash")[0].splitlines()
    shown = run(copy, line)
    assert re.search(r"\d\d passed", shown)
    assert "failed" not in shown


def test_the_loss_of_the_new_task_type_is_a_mean_over_what_it_adds_up(copy: Path) -> None:
    program = """
import numpy as np, torch
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.ordinal import Ordinal, OrdinalOptions
config = OrdinalOptions.model_construct(scale=list("abcde"), dropout=0.0)
ordinal = Ordinal(config=config, vocabulary=Vocabulary(), width=2)
gold = np.array([0, 4, 2])
(total,), (count,) = ordinal.loss_sums(torch.zeros(3, 4), torch.from_numpy(gold)), ordinal.loss_counts(gold)
print("loss", round((total / count).item(), 4))
"""
    # The loss of a binary decision without any information is log 2.
    assert "loss 0.6931" in run(copy, f"python -c {shlex.quote(program)}")


def test_the_new_task_type_is_trained_and_predicted(copy: Path) -> None:
    for line in blocks("bash")[1].splitlines():
        run(copy, line)
    (task,) = json.loads((copy / "predicted.tsv.eval").read_text()).values()
    assert task["avg_dist"] <= 2
    assert 0 <= task["accuracy"] <= 1
    source = (copy / "data" / "pairs" / "test.tsv").read_text(encoding="utf-8").splitlines()
    predicted = (copy / "predicted.tsv").read_text(encoding="utf-8").splitlines()
    for before, after in zip(source, predicted, strict=True):
        cells, changed = before.split("\t"), after.split("\t")
        assert changed[2] in ("contradicts", "unrelated", "entails")
        assert [*changed[:2], *changed[3:]] == [*cells[:2], *cells[3:]]


def test_a_label_that_is_not_on_the_scale_is_reported_with_its_place(copy: Path) -> None:
    smaller = (copy / "my.json").read_text(encoding="utf-8").replace(', "entails"', "")
    (copy / "small.json").write_text(smaller, encoding="utf-8")
    shown = run(copy, "python train.py --dataset_configs small.json --check", code=2)
    assert "found 'entails' (task 'agreement'), expected one of contradicts, unrelated" in shown
