"""The one command: its subcommands, their help, names and exit codes, and what check, evaluate and completion print."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import machamp_lite
from machamp_lite.cli import commands, completion
from machamp_lite.files.package_files import SCHEMAS

ROOT = Path(__file__).resolve().parents[2]
VERSION = f"machamp_lite {machamp_lite.__version__}\n"
every_command = pytest.mark.parametrize("name", commands.COMMANDS)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def config(write_config: Callable[..., str], dataset: dict[str, Any], work: Path) -> str:
    """A config of one dataset."""
    return write_config(UD=dataset)


def run(*arguments: str) -> int:
    """The exit code of the command; argparse exits by itself after help."""
    try:
        return commands.main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


@every_command
def test_the_help_shows_examples_that_can_be_parsed(name: str) -> None:
    parser = commands.COMMANDS[name].parser(f"machamp-lite {name}")
    assert parser.examples
    for example in parser.examples:
        assert f"\n  machamp-lite {name} {example}\n" in parser.format_help()
        arguments = shlex.split(example)
        streams = [arguments.index(mark) for mark in ("<", ">") if mark in arguments]
        assert parser.read(arguments[: min(streams, default=None)])
        for part in arguments:
            if part.startswith(("configs/", "data/")):
                assert (ROOT / part).exists()


@every_command
def test_every_subcommand_has_help_and_the_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: machamp-lite {name} [-h]")
    assert run(name, "--version") == 0
    assert capsys.readouterr().out == VERSION


@pytest.mark.parametrize(
    ("program", "usage"),
    [
        (["-m", "machamp_lite"], "python -m machamp_lite"),
        (["-m", "machamp_lite", "train"], "python -m machamp_lite train"),
        (["train.py"], "train.py"),
        (["predict.py"], "predict.py"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_programs_have_their_own_names_in_usage(program: list[str], usage: str) -> None:
    done = subprocess.run(
        [sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: {usage} [")


def test_help_waits_for_no_large_package() -> None:
    slow = "{'torch', 'transformers', 'numpy', 'pydantic', 'rich', 'shtab', 'optuna'}"
    shown = ["--help", "train --help", "evaluate --help", "tune --help", "serve --help", "schema datasets"]
    for arguments in map(str.split, shown):
        program = (
            "import contextlib, sys; from machamp_lite.cli.commands import main\n"
            f"with contextlib.suppress(SystemExit): main({arguments!r})\n"
            f"print(*sys.modules.keys() & {slow}, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stderr == "\n", arguments


WRONG_MODELS = {
    "a misspelt folder": ("runs/frist", "runs/frist: found no such folder, expected a run folder"),
    "a model in ONNX": ("onnx", "onnx: found a model in ONNX, expected a run folder"),
}
MODEL_COMMANDS = (
    "predict {} in out",
    "evaluate {} in",
    "serve {} --port 0",
    "compare {} {} --test in",
    "tune-decisions {} in",
    "export {} --onnx new",
    "card {}",
    "push {} me/mine",
    "train --dataset_configs in --retrain {}",
)


@pytest.mark.parametrize(("model", "message"), WRONG_MODELS.values(), ids=WRONG_MODELS)
def test_a_wrong_model_is_reported_before_torch_is_imported(model: str, message: str, work: Path) -> None:
    for name in ("runs", "onnx"):
        (work / name).mkdir()
    (work / "onnx/onnx.json").write_text("{}", encoding="utf-8")
    config = {"D": {"train_data_path": "in", "word_idx": 1, "tasks": {"upos": {"task_type": "seq", "column_idx": 3}}}}
    (work / "in").write_text(json.dumps(config), encoding="utf-8")
    program = (
        "import sys; from machamp_lite.cli.commands import main\n"
        f"for command in {MODEL_COMMANDS!r}: assert main(command.format({model!r}, {model!r}).split()) == 2, command\n"
        "print(*sys.modules.keys() & {'torch', 'transformers'})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == len(MODEL_COMMANDS) and all(line.startswith(message) for line in lines), done.stderr
    assert done.stdout == "\n"


NAMED_FLAGS = {
    "train my.json": "machamp-lite train: found 'my.json' without a flag, expected --dataset_configs my.json",
    "train a.json b.jsonnet": "machamp-lite train: found 'a.json' 'b.jsonnet' without a flag, expected "
    "--dataset_configs a.json b.jsonnet",
    "train runs/x": "machamp-lite train: found 'runs/x' without a flag; see --help",
    "report a --out b c": "machamp-lite report: found 'c' without a flag; see --help",
    "evaluate in in": "in: found a file, expected a run folder; to score predictions without a model, add "
    "--dataset_configs CONFIG",
}


@pytest.mark.parametrize(("arguments", "line"), NAMED_FLAGS.items(), ids=NAMED_FLAGS)
def test_a_file_without_its_flag_is_reported_with_the_flag(
    arguments: str, line: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "in").touch()
    assert run(*arguments.split()) == 2
    assert capsys.readouterr().err == f"{line}\n"


EXIT_CODES: dict[str, int] = {
    "": 0,
    "help": 0,
    "--version": 0,
    "tran": 2,
    "train": 2,
    "train --nothing": 2,
    "check no.json": 2,
    "evaluate no_run no.conllu": 2,
    "evaluate no_run": 2,
    "predict no_run": 2,
    "compare no_run no_run": 2,
    "report no_run": 2,
    "serve no_run --port 0": 2,
    "convert-config no.json new.json": 2,
    "schema models": 2,
    "schema params": 0,
    "completion tcsh": 2,
    "completion bash": 0,
}


@pytest.mark.parametrize(("arguments", "code"), EXIT_CODES.items(), ids=EXIT_CODES)
def test_exit_codes(arguments: str, code: int, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments.split()) == code
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    assert (output.out == "") == (code == 2)


def test_an_interrupted_command_has_the_exit_code_130(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(shell: str) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(completion, "_print_script", stopped)
    assert run("completion", "bash") == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_schema_prints_a_schema(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema", kind) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(SCHEMAS[kind].read_text(encoding="utf-8"))


def test_check_is_train_with_the_flag_check(
    config: str, tiny_params: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--parameters_config", tiny_params, "--set", "UD.max_sents=2"]
    assert run("train", "--dataset_configs", config, *flags, "--check") == 0
    expected = capsys.readouterr().out
    assert "dataset UD" in expected
    assert run("check", config, *flags) == 0
    assert capsys.readouterr().out == expected
    assert run("check", config, "--sequential") == 2
    assert not list(work.iterdir())


def test_evaluate_prints_the_scores_of_predict_and_writes_nothing(
    config: str, tiny_params: str, treebank: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--parameters_config", tiny_params, "--set", "training.num_epochs=1", "--model_dir", "run"]
    assert run("train", "--dataset_configs", config, *flags) == 0
    capsys.readouterr()
    assert run("predict", "run", str(treebank), "out.conllu", "--device", "cpu") == 0
    scores = capsys.readouterr().out.partition("written: ")[0]
    assert "UD       upos   accuracy" in scores
    before = sorted(Path().rglob("*"))
    assert run("evaluate", "run", str(treebank), "--device", "cpu") == 0
    assert capsys.readouterr().out == scores
    assert run("evaluate", "run", str(treebank), str(treebank), "-q") == 0
    assert capsys.readouterr().out == 2 * f"{treebank}:\n{scores}"
    empty = Path("empty.conllu")
    empty.write_text("1\tWho\t_\t_\t_\t_\t_\t_\t_\t_\n\n")
    assert run("evaluate", "run", str(empty)) == 2
    expected = "empty.conllu: found no gold labels of UD, expected some to compare predictions with\n"
    assert capsys.readouterr().err.endswith(expected)
    empty.unlink()
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_knows_all_subcommands_and_flags(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    for name, command in commands.COMMANDS.items():
        assert name in script
        flags = [flag for action in command.parser("")._actions for flag in action.option_strings]
        assert not {flag for flag in flags if flag.lstrip("-") not in script}


def test_bash_completes_a_subcommand_a_flag_a_value_and_a_file(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    assert run("completion", "bash") == 0
    Path("complete.sh").write_text(capsys.readouterr().out, encoding="utf-8")
    Path("treebank.json").touch()
    for words, expected in {
        ("eval",): "evaluate",
        ("train", "--model"): "--model_dir",
        ("train", "--precision", "b"): "bf16",
        ("train", "--dataset_configs", "tree"): "treebank.json",
        ("check", "tree"): "treebank.json",
    }.items():
        typed = f"COMP_WORDS=(machamp-lite {' '.join(words)}); COMP_CWORD={len(words)}"
        program = f'source complete.sh; {typed}; _shtab_machamp_lite; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected], words


def test_completion_says_how_to_install_its_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert run("completion", "bash") == 2
    assert capsys.readouterr().err.endswith("pip install 'machamp_lite[completion]'\n")


def test_evaluate_prints_the_same_scores_of_a_file_of_predictions(
    config: str, tiny_params: str, treebank: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--parameters_config", tiny_params, "--set", "training.num_epochs=1", "--model_dir", "run"]
    assert run("train", "--dataset_configs", config, *flags) == 0
    assert run("predict", "run", str(treebank), "out.conllu", "--device", "cpu") == 0
    capsys.readouterr()
    assert run("evaluate", "run", str(treebank), "--device", "cpu") == 0
    scores = capsys.readouterr().out
    assert run("evaluate", str(treebank), "out.conllu", "--dataset_configs", config) == 0
    assert capsys.readouterr().out == scores
    pairs = [str(treebank), "out.conllu"]
    assert run("evaluate", *pairs, *pairs, "--dataset_configs", config, "--set", "UD.tasks.upos.loss_weight=0") == 0
    printed = capsys.readouterr().out
    assert printed.count("out.conllu:\n") == 2
    assert "UD lemma" in printed and "UD upos" not in printed


FAULTY_PAIRS: dict[str, list[str]] = {
    "{gold} {gold} --dataset_configs {config} --tau 1 --batch_size 2": [
        "--tau: has no effect with --dataset_configs, because no model predicts; leave it out",
        "--batch_size: has no effect with --dataset_configs, because no model predicts; leave it out",
    ],
    "{gold} {gold} {gold} --dataset_configs {config}": [
        "machamp-lite evaluate: found no PREDICTED for {gold}, expected pairs of GOLD PREDICTED"
    ],
    "- - --dataset_configs {config}": [
        "machamp-lite evaluate: found - twice, expected it once: standard input can be read only once"
    ],
    "{gold} none --dataset_configs {config}": ["none: no such file"],
    "{gold} {gold} --dataset_configs {config} --dataset OD": ["--dataset: found 'OD', "],
}


@pytest.mark.parametrize(("arguments", "expected"), FAULTY_PAIRS.items(), ids=FAULTY_PAIRS)
def test_flags_and_files_that_cannot_be_scored_are_refused(
    arguments: str, expected: list[str], config: str, treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", *arguments.format(gold=treebank, config=config).split()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert part.format(gold=treebank) in line
