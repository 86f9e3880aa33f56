"""Command lines of MaChAmp 0.1 to 0.4 mean the same here, or are one line that says what to write instead."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import machamp_lite
from machamp_lite.cli import main as cli
from machamp_lite.cli.arguments import predict_flags
from machamp_lite.cli.commands import COMMANDS, main, predict_alone, train_alone
from machamp_lite.cli.train_arguments import train_flags
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError

# The command lines in MaChAmp's documentation, without the program; then equal lines and abbreviations.
TRAIN: dict[str, dict[str, Any]] = {
    "--parameters_config configs/params.json --dataset_config configs/ewt.json --device 0 --name ewt": {
        "dataset_configs": ["configs/ewt.json"], "parameters_config": "configs/params.json", "device": "cuda:0",
        "name": "ewt",
    },
    "--dataset_config configs/ewt.json --device 0": {"dataset_configs": ["configs/ewt.json"], "device": "cuda:0"},
    "--dataset_config configs/ewt.json --device 0 --name ewt --parameters_config config/params-champ.json": {
        "name": "ewt", "parameters_config": "config/params-champ.json",
    },
    "--dataset_configs configs/ewt.json --device -1": {"device": "cpu"},
    "--dataset_config configs/en_mlm": {"dataset_configs": ["configs/en_mlm"]},
    "--dataset_config configs/ewt.json --finetune logs/en_mlm/2020.12.08_21.04.10/": {
        "retrain": "logs/en_mlm/2020.12.08_21.04.10",
    },
    "--dataset_configs configs/ewt.json --finetune logs/en_mlm/2020.12.08_21.04.10/model.tar.gz": {
        "retrain": "logs/en_mlm/2020.12.08_21.04.10",
    },
    "--dataset_configs configs/ewt.json --retrain logs/en_mlm/2020.12.08_21.04.10/model.pt": {
        "retrain": "logs/en_mlm/2020.12.08_21.04.10",
    },
    "--dataset_configs configs/en_mlm.json configs/ewt.json --sequential": {
        "dataset_configs": ["configs/en_mlm.json", "configs/ewt.json"], "sequential": True,
    },
    "--dataset_configs a.json --seed -1": {"seed": None},
    "--dataset_configs a.json --seed 3 --model_dir run": {"seed": 3, "model_dir": "run"},
    "--dataset_config a.json --dataset_configs b.json": {"dataset_configs": ["a.json", "b.json"]},
    "--dataset-configs a.json --model-dir=run-1": {"dataset_configs": ["a.json"], "model_dir": "run-1"},
    "--dataset_c a.json --par p-1.json --dev cuda --na x": {
        "dataset_configs": ["a.json"], "parameters_config": "p-1.json", "device": "cuda", "name": "x",
    },
    "--dataset_configs a.json --device cuda:1": {"device": "cuda:1"},
    "--dataset_configs a.json --device mps": {"device": "mps"},
    "--dataset_configs a.json --device cpu": {"device": "cpu"},
}  # fmt: skip
PREDICT: dict[str, dict[str, Any]] = {
    "logs/ewt/DATE/model.tar.gz data/dev.norm out --device 0": {
        "pairs": [("data/dev.norm", "out")], "device": "cuda:0",
    },
    "logs/ewt/DATE/model.tar.gz data/dev.norm out --dataset UD-EWT --device 0": {"device": "cuda:0"},
    "logs/ewt/DATE/model.pt data/dev.norm out --dataset UD-EWT --device 0": {"device": "cuda:0"},
    "logs/ewt/DATE/model.tar.gz data/dev.norm out --raw_text": {"raw_text": True},
    "m data/dev.norm out --topn 3 --conn : --sep , --threshold 0 --max_sents -1 --batch_size 1": {
        "topn": 3, "conn": ":", "sep": ",", "threshold": 0, "max_sents": None, "batch_size": 1,
    },
    "m data/dev.norm out --raw --thr 1 --max-sents 2": {"raw_text": True, "threshold": 1, "max_sents": 2},
}  # fmt: skip
REFUSED = {
    "--archive_bert": "--archive_bert: is not a flag of ",
    "--archive-bert": "--archive-bert: is not a flag of ",
    "--eval_file f": "--eval_file: is not a flag of ",
    "--copy_other_columns True": "--copy_other_columns: is not a flag of ",
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    Path("data/dev.norm").write_text("1\ta\n")


@pytest.mark.parametrize(("line", "expected"), TRAIN.items())
def test_flags_of_training_are_read(line: str, expected: dict[str, Any]) -> None:
    found = vars(train_flags(shlex.split(line)))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(("line", "expected"), PREDICT.items())
def test_flags_of_prediction_are_read(line: str, expected: dict[str, Any]) -> None:
    found = vars(predict_flags(shlex.split(line)))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(("flags", "line"), REFUSED.items())
def test_flags_without_a_counterpart_say_what_to_do(flags: str, line: str) -> None:
    is_training = "archive" in flags
    with pytest.raises(ConfigError) as caught:
        train_flags(["--dataset_configs", "a", *flags.split()]) if is_training else predict_flags(["m", *flags.split()])
    (found,) = caught.value.faults
    assert found.startswith(line)
    assert "leave this flag out" in found


@pytest.mark.parametrize("flag", ["--data", "--re x", "--p x", "--s 3"])
def test_ambiguous_abbreviations_name_the_flags(flag: str) -> None:
    with pytest.raises(ConfigError, match=r"could be --\w+ or --\w+"):
        train_flags(["--dataset_configs", "a", *flag.split()])


def test_arguments_after_two_dashes_are_no_flags() -> None:
    Path("--in-put").write_text("1\ta\n")
    assert predict_flags(["m", "--", "--in-put", "out"]).pairs == [("--in-put", "out")]


def test_paths_of_machamps_models_mean_the_run_folder(
    write_config: Callable[..., str], dataset: dict[str, Any], treebank: Path, tiny_params: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    config = write_config(UD=dataset)
    flags = ["--dataset_config", config, "--parameters_config", tiny_params, "--set", "training.num_epochs=1"]
    assert cli.train([*flags, "--device", "cpu", "--model_dir", "logs/ud/DATE"]) == 0
    for name in ("model", "model.pt", "model.tar.gz", "model_1.pt"):
        assert cli.predict([f"logs/ud/DATE/{name}", str(treebank), f"{name}.out", "--device", "-1"]) == 0
        assert Path(f"{name}.out").read_bytes() == Path("model.out").read_bytes()
    assert machamp_lite.load("logs/ud/DATE/model.pt").tasks
    assert cli.train([*flags, "--device", "cpu", "--model_dir", "next", "--finetune", "logs/ud/DATE/model.tar.gz"]) == 0
    assert "keeps its decoder" in Path("next/log.txt").read_text()
    capsys.readouterr()
    assert cli.train(["--resume", "next/model.pt"]) == 2
    assert capsys.readouterr().err.startswith("--resume next: found no run to resume: the run is finished")


@pytest.mark.parametrize("name", ["model.pt", "model.tar.gz", "model_12.pt"])
def test_models_that_machamp_has_written_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs/ewt").mkdir(parents=True)
    path = f"logs/ewt/{name}"
    Path(path).write_bytes(b"PK")
    for command in (
        lambda: cli.predict([path, "data/dev.norm", "out"]),
        lambda: cli.train(["--dataset_configs", "c.json", "--retrain", path]),
    ):
        assert command() == 2
        *_, line = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{path}: is a model of MaChAmp, which is not read")
        assert "expected a run folder" in line


def test_each_subcommand_has_help_and_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in listed
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert capsys.readouterr().out.startswith(f"usage: machamp-lite {name} ")
        assert main([name, "--zzzz"]) == 2
        assert capsys.readouterr().err == f"machamp-lite {name}: unknown flag --zzzz; see --help\n"
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == "machamp-lite: unknown command 'trian'; did you mean 'train'?\n"
    assert main(["version"]) == 2
    assert capsys.readouterr().err == "machamp-lite: unknown command 'version'; did you mean '--version'?\n"
    assert main(["schema"]) == 2
    assert "are required: datasets|params; see --help" in capsys.readouterr().err


def test_convert_config_writes_a_config_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.json").write_text(
        '// my data\nlocal path = "data/dev.norm";\n{A: {train_data_path: path, validation_data_path: path,\n'
        'word_idx: 1, copy_other_columns: true, tasks: {\n'
        't: {task_type: "multiseq", column_idxs: 3, loss_weight: .5, metric: "acc"}}}}'
    )
    assert main(["convert-config", "old.json", "new.json"]) == 0
    output = capsys.readouterr()
    assert output.out == "written: new.json\n"
    assert "warning: old.json: A -> copy_other_columns: has no effect" in output.err
    assert json.loads(Path("new.json").read_text()) == {
        "A": {
            "train_data_path": "data/dev.norm",
            "dev_data_path": "data/dev.norm",
            "word_idx": 1,
            "tasks": {"t": {"task_type": "multiseq", "column_idx": 3, "loss_weight": 0.5, "metric": "multi_acc"}},
        }
    }
    dataset = json.loads(Path("new.json").read_text())["A"]
    assert list(dataset) == ["train_data_path", "dev_data_path", "word_idx", "tasks"]
    assert list(dataset["tasks"]["t"])[:2] == ["task_type", "column_idx"]
    assert load_config(["new.json"]).datasets == load_config(["old.json"]).datasets
    before = Path("new.json").read_bytes()
    capsys.readouterr()
    assert main(["convert-config", "old.json", "new.json"]) == 2
    assert capsys.readouterr().err == "new.json: exists already, expected another name\n"
    assert Path("new.json").read_bytes() == before


WRONG = {
    "{}": "old.json: found neither datasets nor params, expected one of them",
    "{x: 3}": "old.json: found neither datasets nor params, expected one of them",
    "[": "old.json:1:2: ",
    "{trainer: {optimizer: {type: 'sgd'}}}": "old.json: trainer -> optimizer -> type: 'sgd' is not supported yet",
    "{training: {num_epoch: 3}}": "old.json: training -> num_epoch: unknown key; did you mean 'num_epochs'?",
    "{A: {word_idx: 1, tasks: {t: {task_type: 'sequ', column_idx: 3}}}}": "old.json: A -> tasks -> t -> task_type: ",
}


@pytest.mark.parametrize(("text", "line"), WRONG.items())
def test_convert_config_reports_errors_and_writes_nothing(
    text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("old.json").write_text(text)
    assert main(["convert-config", "old.json", "new.json"]) == 2
    assert capsys.readouterr().err.startswith(line)
    assert not os.path.lexists("new.json")


def test_convert_config_does_not_need_the_data() -> None:
    task = "{task_type: 'seq', column_idx: 3}"
    Path("old.json").write_text(f"{{A: {{train_data_path: 'gone', word_idx: 1, tasks: {{t: {task}}}}}}}")
    assert main(["convert-config", "old.json", "new.json"]) == 0


@pytest.mark.parametrize(("name", "program"), [("train", train_alone), ("predict", predict_alone)])
def test_the_program_of_a_single_command_is_the_subcommand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, program: Callable[[], int]
) -> None:
    monkeypatch.setattr("sys.argv", [f"machamp-lite-{name}", "--model"])
    assert program() == 2
    assert f"machamp-lite {name}" in capsys.readouterr().err
