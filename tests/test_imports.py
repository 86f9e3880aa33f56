"""Imports go one way: every package belongs to a layer and imports only from the layers below it."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "machamp_lite"

# From the bottom up; a module imports from its own package and from the layers before it.
LAYERS = [
    "errors",
    "progress",
    "files",
    "data",
    "metrics",
    "nn",
    "weighting",
    "config",
    "decoders",
    "dataloading",
    "data_checks",
    "model",
    "acceleration",
    "inference",
    "reporting",
    "training",
    "tuning",
    "api",
    "export",
    "interfaces",
    "serving",
    "__init__",
    "cli",
    "__main__",
]
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    layers = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "machamp_lite":
                names = [f"machamp_lite.{alias.name}" for alias in node.names]
            else:
                names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        layers |= {name.split(".")[1] for name in names if name.startswith("machamp_lite.")}
    return layers


def test_every_module_belongs_to_a_layer() -> None:
    assert {layer_of(path) for path in FILES} == set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down(path: Path) -> None:
    own = layer_of(path)
    upward = {
        name for name in imported_layers(path) if name != own and LAYERS.index(name) >= LAYERS.index(own)
    }
    assert not upward, f"{path} imports from {upward}, which are not below it"


@pytest.mark.parametrize("path", [path for path in FILES if layer_of(path) != "cli"], ids=str)
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    source = (PACKAGE / path).read_text(encoding="utf-8")
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "exit", "quit", "input", "eval", "exec"}
    if path.name == "sandbox.py":
        # A forked process has no other way to end.
        source = source.replace("os._exit(0)", "", 1)
    assert not re.search(r"\bsys\.exit|\bos\._exit|logging\.basicConfig", source)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_is_pickled_and_no_code_of_a_model_is_run(path: Path) -> None:
    source = (PACKAGE / path).read_text(encoding="utf-8")
    assert not re.search(r"\bpickle\b|torch\.load|torch\.save|trust_remote_code=True", source)


CONFIG = '{"A": {"train_data_path": "train.conllu", "word_idx": 1, "tasks": {"upos": TASK}}}'
WRONG_CONFIGS = {
    "a misspelt key": CONFIG.replace("TASK", '{"task_type": "seq", "column_idx": 3, "los_weight": 1}'),
    "an unknown task type": CONFIG.replace("TASK", '{"task_type": "sequ", "column_idx": 3}'),
    "no JSON": "{",
}


def heavy_modules(program: str, folder: Path) -> set[str]:
    """The slow libraries that a program has imported when it ends."""
    shown = "import sys; print(*sys.modules.keys() & {'torch', 'transformers', 'numpy', 'sacrebleu', 'peft', 'optuna'})"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{shown}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_config_does_without_torch(tmp_path: Path) -> None:
    configs = [str(path) for path in (PACKAGE.parent / "configs").glob("*.json") if "params" not in path.name]
    program = f"""
import os, machamp_lite, machamp_lite.config
os.chdir({str(PACKAGE.parent)!r})
for path in {configs!r}:
    machamp_lite.load_config([path])
"""
    assert not heavy_modules(program, tmp_path)


@pytest.mark.parametrize("config", WRONG_CONFIGS.values(), ids=WRONG_CONFIGS)
def test_an_error_in_a_config_is_reported_before_torch_is_imported(config: str, tmp_path: Path) -> None:
    (tmp_path / "train.conllu").write_text("1\ta\tb\tX\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    program = """
from machamp_lite.cli.main import train
assert train(["--dataset_configs", "config.json"]) == 2
"""
    assert not heavy_modules(program, tmp_path)


def test_an_error_in_a_search_space_is_reported_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "train.conllu").write_text("1\ta\tb\tX\n", encoding="utf-8")
    config = CONFIG.replace("TASK", '{"task_type": "seq", "column_idx": 3}')
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    (tmp_path / "space.json").write_text('{"training.optimiser.lr": {"low": 0.1, "high": 1}}', encoding="utf-8")
    program = """
from machamp_lite.cli.tune import tune
assert tune(["config.json", "--space", "space.json", "--trials", "3"]) == 2
"""
    assert not heavy_modules(program, tmp_path)
