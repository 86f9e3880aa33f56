"""The commands: what they leave behind, what they say, and how they end: 0, 1, 2 or 130, never with a traceback."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_metrics import history_of, metrics_of, without_measured

from machamp_lite.cli import main as cli
from machamp_lite.model.serialization import load_model, save_model, weights_of
from machamp_lite.training import check
from machamp_lite.training import run as runs
from machamp_lite.training.distributed import Processes
from machamp_lite.training.run_folder import default_run_folder

ROOT = Path(__file__).resolve().parents[2]
# The tasks of each dataset whose probabilities are calibrated.
CALIBRATED = {"UD": ["upos", "tree", "mood"], "PAIRS": ["same"]}
MODEL_FILES = {
    *("config.json", "labels.json", "model.safetensors"),
    *("encoder/config.json", "encoder/tokenizer.json", "encoder/tokenizer_config.json"),
}


@pytest.fixture
def arguments(
    write_config: Callable[..., str],
    tiny_params: str,
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Flags for a small run over a treebank and sentence pairs, in a folder of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    config = write_config(UD=dataset, PAIRS=pair_dataset)
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1"]


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def line_of(part: str, text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


@pytest.mark.parametrize(
    ("prog", "launcher", "program"),
    [
        ("train.py", "", "python train.py"),
        ("machamp-lite train", "", "machamp-lite train"),
        ("python -m machamp_lite train", "", "python -m machamp_lite train"),
        ("train.py", "torchrun --nproc_per_node=2", "torchrun --nproc_per_node=2 train.py"),
        ("machamp-lite train", "torchrun --nproc_per_node=2", "torchrun --nproc_per_node=2 -m machamp_lite train"),
        (
            "python -m machamp_lite train",
            "torchrun --nproc_per_node=2",
            "torchrun --nproc_per_node=2 -m machamp_lite train",
        ),
    ],
)
def test_a_stopped_run_names_the_command_that_it_was_started_with(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    prog: str,
    launcher: str,
    program: str,
) -> None:
    def stopped(run: runs.TrainingRun) -> None:
        run.state_folder.mkdir()
        (run.state_folder / "state.safetensors").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.TrainingRun, "train", stopped)
    monkeypatch.setattr(Processes, "launcher", launcher)
    assert cli.train([*arguments, "--model_dir", "run"], prog=prog) == 130
    assert capsys.readouterr().err.endswith(f"stopped at once; to resume: {program} --resume run\n")


def test_warnings_about_keys_without_effect_are_in_the_log_file_too(
    arguments: list[str],
    dataset: dict[str, Any],
    write_config: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    tasks = {"upos": {"task_type": "seq", "column_idx": 3, "adaptive": True}}
    write_config(UD={**dataset, "tasks": tasks})
    assert cli.train([*arguments, "--model_dir", "run"]) == 0
    for shown in (capsys.readouterr().err, Path("run/log.txt").read_text()):
        assert len([line for line in shown.splitlines() if "adaptive" in line]) == 1


def test_a_run_folder_holds_all_that_a_run_is(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.train([*arguments, "--model_dir", "run"]) == 0
    outputs = {f"{name}.out{end}" for name in ("UD", "PAIRS") for end in ("", ".eval")}
    assert files_of(Path("run")) == {
        *("run.json", "log.txt", "params-config.json", "dataset-configs.json", "layers.json"),
        "environment.json",
        *("metrics.json", "history.json", "metrics_epoch_0.json", "metrics_epoch_1.json"),
        *outputs,
        *(f"model/{name}" for name in MODEL_FILES),
    }
    first, second = json.loads(Path("run/history.json").read_text())
    assert set(first) >= {"epoch", "seconds", "words_per_second", "train", "dev"}
    assert [first["epoch"], second["epoch"]] == [1, 2]
    assert set(second["train"]) == {"upos", "lemma", "tree", "mood", "same"}
    assert set(second["dev"]["UD"]["tree"]) == {"las", "uas"}
    best = max(without_measured([first, second]), key=lambda epoch: _sum_of_main_metrics(epoch["dev"]))
    for name in ("UD", "PAIRS"):
        written = json.loads(Path(f"run/{name}.out.eval").read_text())
        labels, counts = best["labels"][name], best["counts"][name]
        # They are computed after training, with the fitted temperature and from the predicted file.
        assert [task for task in written if written[task].pop("ud", None)] == ["tree"] * (name == "UD")
        assert [task for task in written if written[task].pop("calibration", None)] == CALIBRATED[name]
        assert written == {
            task: {**scores, **counts[task], "labels": labels[task]}
            for task, scores in best["dev"][name].items()
        }
    for name in ("config.json", "labels.json", "encoder/config.json", "encoder/tokenizer_config.json"):
        text = Path("run/model", name).read_text()
        assert str(tmp_path) not in text
        assert ".conllu" not in text
        assert "cpu" not in text
        assert "encoders" not in text, "the folder of the pretrained encoder"
    output = capsys.readouterr()
    assert "model: run/model" in output.out
    assert "epoch 2" in Path("run/log.txt").read_text()


def _sum_of_main_metrics(dev: dict[str, Any]) -> float:
    return sum(
        values.get("las", values.get("accuracy")) for tasks in dev.values() for values in tasks.values()
    )


def test_a_run_is_repeated_from_the_two_files_in_its_folder(arguments: list[str]) -> None:
    options = [
        "--set",
        "training.num_epochs=1",
        "--set",
        "UD.tasks.upos.loss_weight=0.5",
        "--set",
        "UD.max_sents=3",
    ]
    assert cli.train([*arguments, *options, "--seed", "3", "--model_dir", "first"]) == 0
    resolved = [
        "--dataset_configs",
        "first/dataset-configs.json",
        "--parameters_config",
        "first/params-config.json",
    ]
    assert cli.train([*resolved, "--device", "-1", "--model_dir", "second"]) == 0
    for name in ("params-config.json", "dataset-configs.json", "UD.out", "PAIRS.out", "UD.out.eval"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    assert metrics_of("first") == metrics_of("second")
    assert cli.train([*arguments, *options, "--seed", "4", "--model_dir", "third"]) == 0
    assert metrics_of("first") != metrics_of("third")


def test_without_dev_data_the_last_epoch_is_kept_and_nothing_is_predicted(
    arguments: list[str], write_config: Callable[..., str], dataset: dict[str, Any]
) -> None:
    del dataset["dev_data_path"]
    config = write_config("no_dev.json", UD=dataset)
    assert cli.train(["--dataset_configs", config, *arguments[2:], "--model_dir", "run"]) == 0
    assert not list(Path("run").glob("*.out*"))
    assert [epoch["dev"] for epoch in history_of("run")] == [{}, {}]
    one_epoch = ["--set", "training.num_epochs=1", "--model_dir", "one"]
    assert cli.train(["--dataset_configs", config, *arguments[2:], *one_epoch]) == 0
    assert (
        Path("run/model/model.safetensors").read_bytes() != Path("one/model/model.safetensors").read_bytes()
    )


def test_the_epoch_with_the_best_dev_scores_is_kept(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []

    def save(model: Any, folder: Path) -> None:
        kept.append({name: value.clone() for name, value in weights_of(model).items()})
        save_model(model, folder)

    sums = iter([1.0, 3.0, 2.0, 3.0])
    monkeypatch.setattr("machamp_lite.training.trainer.sum_of_main_metrics", lambda *_: next(sums))
    monkeypatch.setattr(runs, "save_model", save)
    assert cli.train([*arguments, "--set", "training.num_epochs=4", "--model_dir", "run"]) == 0
    assert len(kept) == 2, "the first and the second epoch were the best so far"
    loaded = weights_of(load_model("run"))
    assert loaded.keys() == kept[-1].keys()
    assert all(torch.equal(value, kept[-1][name]) for name, value in loaded.items())


def test_two_runs_of_the_same_second_get_two_folders(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "2024.01.01_00.00.00")
    folders = [default_run_folder(["configs/a.json", "b.jsonnet"]) for _ in range(3)]
    assert [str(folder) for folder in folders] == [
        f"logs/a.b/2024.01.01_00.00.00{end}" for end in ("", "_2", "_3")
    ]
    options = ["--set", "training.num_epochs=1", "--name", "mine"]
    assert [cli.train([*arguments, *options]) for _ in range(2)] == [0, 0]
    assert len(list(Path("logs/mine").glob("*/history.json"))) == 2


def test_a_folder_with_a_run_is_left_alone_without_overwrite(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*arguments, "--set", "training.num_epochs=1", "--model_dir", "run"]
    assert cli.train(flags) == 0
    before = Path("run/history.json").read_bytes()
    capsys.readouterr()
    assert cli.train(flags) == 2
    assert capsys.readouterr().err == "run: a run is already here; give another --model_dir, or --overwrite\n"
    assert Path("run/history.json").read_bytes() == before
    assert cli.train([*flags, "--overwrite", "--set", "training.num_epochs=2"]) == 0
    assert len(history_of("run")) == 2


def test_a_folder_can_be_used_again_after_faults_of_the_data(
    arguments: list[str], treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = treebank.read_text()
    treebank.write_text(right.replace("\tDET\t", "\t\t"))
    flags = [*arguments, "--set", "training.num_epochs=1", "--model_dir", "run"]
    assert cli.train(flags) == 2
    row = line_of("\tDET\t", right)
    fault = f"{treebank}:{row}: found an empty label in column 3 (task 'upos'), expected a label"
    (line,) = capsys.readouterr().err.splitlines()[1:]
    assert line.startswith(fault), "each fault is reported once"
    assert fault in Path("run/log.txt").read_text()
    treebank.write_text(right)
    assert cli.train(flags) == 0


def test_check_says_what_is_in_the_data_and_writes_nothing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(tmp_path)
    assert cli.train([*arguments, "--check"]) == 0
    output = capsys.readouterr()
    expected = re.compile(r"is the training file: its scores do|data: read in \d+\.\d s$")
    assert all(expected.search(line) for line in output.err.splitlines())
    for line in (
        "dataset UD",
        "dataset PAIRS",
        "  task mood (classification, loss_weight 1): 4 annotated sentences",
    ):
        assert line in output.out.splitlines()
    assert files_of(tmp_path) == before


def test_check_reports_the_faults_of_all_files(
    arguments: list[str], treebank: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # An empty label and a wrong head in one file, a missing column in another: training and dev data are the same.
    empty, head = (line_of(text, treebank.read_text()) for text in ("\tDET\t", "\t5\tnsubj"))
    treebank.write_text(treebank.read_text().replace("\tDET\t", "\t\t").replace("\t5\tnsubj", "\t9\tnsubj"))
    pairs.write_bytes(b"a\tb\n\xff\tb\tyes\n")
    assert cli.train([*arguments, "--check"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert sorted(line.split(": ")[0] for line in output.err.splitlines()) == sorted(
        [f"{pairs}:1", f"{pairs}:2", f"{treebank}:{empty}", f"{treebank}:{head}"]
    )


def test_what_the_encoder_does_not_have_is_reported_before_data_is_read(
    arguments: list[str], treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    treebank.write_bytes(b"\xff")
    sets = ["encoder.max_input_length=4000", "UD.tasks.upos.layers_to_use=[9]", "UD.tasks.tree.layers_to_use=[0, 8]"]
    assert cli.train([*arguments, *(part for text in sets for part in ("--set", text))]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if " -> " in line]
    starts = [
        "encoder -> max_input_length: found 4000",
        *(f"tasks -> {task} -> layers_to_use" for task in ("upos", "tree")),
    ]
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


def test_faults_of_a_file_are_listed_by_kind_with_their_numbers(
    arguments: list[str], treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Three faults per block: an empty label, a head outside the sentence, a row that is too short.
    row = "1\ta\ta\t{}\t_\t_\t{}\tdep\t_\t_\n\n"
    treebank.write_text((row.format("", 0) + row.format("X", 7) + "1\ta\n\n") * 10)
    assert cli.train([*arguments, "--check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{treebank}:{number}" for number in (1, 3, 5)]
    assert all("(and 9 more lines like it: " in line for line in lines)


def test_a_task_without_labels_in_training_data_is_reported_with_the_nearest_comment(
    arguments: list[str], treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    treebank.write_text(treebank.read_text().replace("# mood", "# moods"))
    assert cli.train([*arguments, "--check"]) == 2
    assert capsys.readouterr().err == (
        f"{treebank}: found no comment '# mood = LABEL', expected some for task 'mood'; did you mean 'moods'?\n"
    )


WRONG_TRAIN = {
    "--nothing": "train.py: unknown flag --nothing; see --help",
    "--config x": "train.py: unknown flag --config; did you mean '--dataset_configs'?; see --help",
    "--finetunne x": "train.py: unknown flag --finetunne; did you mean '--finetune'?; see --help",
    "--model_dirr x": "train.py: unknown flag --model_dirr; did you mean '--model_dir'?; see --help",
    "--sead=3": "train.py: unknown flag --sead; did you mean '--seed'?; see --help",
    "--seed x": "--seed: found 'x', expected a whole number",
    "--seed": "train.py: argument --seed: expected one argument; see --help",
    "--seed -2": "--seed: random_seed: expected a number of at least 0, found -2",
    "--device -2": "train.py: argument --device: found '-2', expected a number, -1, cpu, cuda:N or mps; see --help",
    "--device gpu": "train.py: argument --device: found 'gpu', expected a number, -1, cpu, cuda:N or mps; see --help",
    "--device cuda:99": "--device: found 99, but there are ",
    "--device mps": "--device: found mps, but there is no such device; expected -1 for the CPU",
    "--archive_bert": "--archive_bert: is not a flag of train.py: --retrain RUN starts from the encoder of a run",
    "--re x": "train.py: --re could be --resume or --retrain; see --help",
    "--device 99": "--device: found 99, but there are ",
    "--sequential": "--sequential: found one dataset config, expected several",
    "--resume logs/x": "--dataset_configs: a resumed run keeps its config, expected no such flag with --resume",
    "--retrain logs/x": "logs/x: found no such folder, expected a run folder or its model folder",
    "--retrain .": ".: found no model, expected a run folder or its model folder (with config.json)",
    "--retrain . --set reset_transformer_model=true": "--retrain: found reset_transformer_model true, expected false",
    "--device=-1.5": "train.py: argument --device: found '-1.5'",
    "--set num_epochs=1": "--set num_epochs=1: unknown 'num_epochs'; did you mean 'training.num_epochs'?",
    "--set x": "--set x: expected KEY=VALUE, for example training.num_epochs=3",
    "--parameters_config no.json": "no.json: no such file",
    "--model_dir a_file": "a_file: is a file, expected a folder",
    "--model_dir a_file/below": "a_file/below: cannot be created (Not a directory)",
    "--model_dir /proc/run": "/proc/run: cannot be created (",
    "--name ../a_file": "--name: found '../a_file', expected a name of a folder inside logs/",
    "--set transformer_model=. --model_dir run": ".: holds no tokenizer that can be loaded (",
    "--set encoder.max_input_length=500 --model_dir run": "encoder -> max_input_length: found 500, but the transformer",
}


@pytest.mark.parametrize(("flags", "line"), WRONG_TRAIN.items())
def test_every_wrong_flag_of_train_is_one_line_and_ends_with_2(
    arguments: list[str], flags: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a_file").touch()
    assert cli.train([*arguments, *flags.split()]) == 2
    output = capsys.readouterr()
    reported = [text for text in output.err.splitlines() if not text[:2].isdecimal()]
    assert len(reported) == 1
    assert reported[0].startswith(line)
    assert output.out == ""


def test_a_run_is_either_resumed_or_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.train(["--resume", "run", "--overwrite"]) == 2
    assert capsys.readouterr().err == (
        "--overwrite: a resumed run keeps its config, expected no such flag with --resume\n"
    )


def test_a_dataset_config_and_params_that_are_swapped_are_reported(
    arguments: list[str], tiny_params: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = arguments[1]
    assert cli.train(["--dataset_configs", tiny_params, "--parameters_config", config]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{tiny_params}: --dataset_configs: expected a dataset config, found params; give it with --parameters_config",
        f"{config}: --parameters_config: expected params, found a dataset config; give it with --dataset_configs",
    ]


def test_missing_flags_are_reported_after_unknown_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.train([]) == 2
    assert capsys.readouterr().err == (
        "train.py: the following arguments are required: --dataset_configs; see --help\n"
    )
    assert cli.train(["--datasets", "c.json"]) == 2
    assert capsys.readouterr().err == (
        "train.py: unknown flag --datasets; did you mean '--dataset_configs'?; see --help\n"
    )


WRONG_PREDICT = {
    "": ["predict.py: the following arguments are required: MODEL; see --help"],
    "m here out more": ["predict.py: found no OUTPUT for more, expected pairs of INPUT OUTPUT"],
    "m here out --top_n 3": ["predict.py: unknown flag --top_n; did you mean '--topn'?; see --help"],
    "m here out --batch_size 0": ["--batch_size: found 0, expected at least 1"],
    "m here out --topn 0": ["--topn: found 0, expected at least 1"],
    "m here out --conn=": [
        "--conn: found '', expected a string that is not empty, without tabs and line ends"
    ],
    "m here out --threshold 1.5": ["--threshold: found 1.5, expected a number from 0 to 1"],
    "m here out --threshold nan": ["--threshold: found nan, expected a number from 0 to 1"],
    "m here out --eval_file f": [
        "--eval_file: is not a flag of predict.py: scores are written to OUTPUT.eval; leave this flag out"
    ],
    "m here out --max_sents 0 --batch_size -1": [
        "--batch_size: found -1, expected at least 1",
        "--max_sents: found 0, expected at least 1",
    ],
    "m here out --pre_tokenized": ["--pre_tokenized: has no effect without --raw_text, expected both"],
    "m gone out": ["gone: no such file"],
    "m folder out": ["folder: is a folder, expected a file"],
    "m here folder": ["folder: is a folder, expected a file"],
    "m here here": ["here: is the input itself, expected another file"],
    "m here ./here": ["./here: is the input itself (here), expected another file"],
    "m here out here out": ["out: is the output of two files"],
    "m here no/out gone out": ["no/out: the folder no does not exist", "gone: no such file"],
    "m here out": ["m: found no such folder, expected a run folder or its model folder (with config.json)"],
    "folder here out": [
        "folder: found no model, expected a run folder or its model folder (with config.json)"
    ],
}


@pytest.mark.parametrize(("flags", "lines"), WRONG_PREDICT.items())
def test_every_wrong_argument_of_predict_is_one_line_and_ends_with_2(
    flags: str,
    lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("here").write_text("1\ta\n")
    assert cli.predict(flags.split()) == 2
    assert capsys.readouterr().err.splitlines() == lines
    assert files_of(tmp_path) == {"here"}


def test_faults_of_a_config_are_lines_on_stderr_and_end_with_2(
    write_config: Callable[..., str], dataset: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset["tasks"] = {**dataset["tasks"], "upos": {"task_type": "sequ"}}
    config = write_config(UD=dataset, B=3)
    assert cli.train(["--dataset_configs", config]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        f"{config}: B: expected an object with a dataset's keys, found 3",
        f"{config}: UD -> tasks -> upos -> task_type: unknown 'sequ'; did you mean 'seq'?",
    ]


def test_a_run_that_fails_ends_with_1(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.train([*arguments, "--set", "training.optimizer.lr=1e30", "--model_dir", "run"]) == 1
    reported = [line for line in capsys.readouterr().err.splitlines() if "expected a finite number" in line]
    assert len(reported) == 1
    assert "expected a finite number" in Path("run/log.txt").read_text()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "stopped\n"),
        (OSError(28, "No space left on device", "model"), 1, "model: No space left on device\n"),
    ],
)
def test_what_stops_a_run_gives_its_exit_code(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    line: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(check, "check", fail)
    assert cli.train([*arguments, "--check"]) == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("command", ["train.py", "predict.py"])
def test_help_imports_nothing_heavy(command: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{command!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({command!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "heavy = {'torch', 'transformers', 'pydantic', 'numpy', '_jsonnet'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {command}")


def test_the_script_ends_with_the_code_of_its_command() -> None:
    done = subprocess.run(
        [sys.executable, "train.py", "--dataset_configs", "no/such.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no/such.json: no such file; the folder no does not exist either\n"
