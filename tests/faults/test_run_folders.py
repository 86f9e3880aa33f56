"""A run folder is new, empty or ours; nothing in it is lost that a run did not write, and one training has it."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import pytest
import torch
from children import plain_lines
from safetensors.torch import save_file

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.dataloading import datasets as run_data
from machamp_lite.errors import ConfigError
from machamp_lite.model.serialization import load_model
from machamp_lite.training import checkpoint as states
from machamp_lite.training import dev_predictions, run_folder_lock, trainer
from machamp_lite.training import run as runs

TREEBANK = """\
1\tThe\tthe\tDET
2\tdogs\tdog\tNOUN
3\tsleep\tsleep\tVERB

1\tAnna\tAnna\tPROPN
2\treads\tread\tVERB

"""
TASKS = {"upos": {"task_type": "seq", "column_idx": 3}}
PARAMS = {
    "encoder": {"dropout": 0.0, "max_input_length": 64},
    "training": {"num_epochs": 2, "precision": "fp32", "keep_state": True, "keep_top_n": 2},
}


@pytest.fixture(scope="module")
def trained(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, configs, and a run that kept its state."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data.conllu").write_text(TREEBANK)
    (folder / "params.json").write_text(json.dumps({"transformer_model": encoder, **PARAMS}))
    data = {"train_data_path": "data.conllu", "dev_data_path": "data.conllu", "word_idx": 1}
    (folder / "data.json").write_text(json.dumps({"WORDS": {**data, "tasks": TASKS}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.train([*FLAGS, "--model_dir", "run"]) == 0
    return folder


FLAGS = ["--dataset_configs", "data.json", "--parameters_config", "params.json", "--device", "-1"]
OVER = [*FLAGS, "--model_dir", "run", "--overwrite"]
RESUME = ["--resume", "run", "--device", "-1"]


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in which the test works."""
    folder = tmp_path / "place"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, Any]:
    """All names in a folder, with where links lead and what files hold."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], folder: Path = Path()) -> str:
    """The one line with which a command is refused; it has changed nothing."""
    before = contents(folder)
    capsys.readouterr()
    assert cli.train(arguments) == 2
    (line,) = plain_lines(capsys.readouterr().err)
    assert contents(folder) == before
    return line


USERS_FILES = [
    "model/config.json",
    "epochs/1/notes",
    "state/state.safetensors",
    "metrics.json",
    "WORDS.out",
    "log.txt",
    "run.json",
    ".thesis.old",
    ".notes.part",
    "notes.txt",
]


@pytest.mark.parametrize("arguments", [[*FLAGS, "--model_dir", "mine"], [*OVER, "--model_dir", "mine"]])
@pytest.mark.parametrize("name", USERS_FILES)
def test_a_folder_that_is_no_run_folder_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], name: str
) -> None:
    path = Path("mine", name)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert refused(arguments, capsys).startswith(f"mine: is not a run folder (found {path.parts[1]!r}, but no ")


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize("flag", ["model_dir", "resume", "name", "retrain", "data_cache"])
def test_an_empty_name_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    arguments = [] if flag == "resume" else FLAGS
    line = refused([*arguments, f"--{flag}", value], capsys)
    assert line.startswith(f"--{flag}: found the empty name {value!r}")


@pytest.mark.parametrize("options", [{"folder": ""}, {"retrain": " "}, {"data_cache": ""}])
def test_an_empty_name_is_refused_in_python(place: Path, options: dict[str, str]) -> None:
    config = load_config(["data.json"], parameters_config="params.json")
    with pytest.raises(ConfigError, match="found the empty name"):
        runs.train(config, **{"folder": "new", "progress": False, **options})


def test_python_leaves_a_run_and_any_other_folder_alone_without_overwrite(place: Path) -> None:
    config = load_config(["data.json"], parameters_config="params.json")
    before = contents(place)
    with pytest.raises(ConfigError, match="run: a run is already here"):
        runs.train(config, "run", progress=False)
    with pytest.raises(ConfigError, match="is not a run folder"):
        runs.train(config, place, progress=False)
    assert contents(place) == before
    runs.train(config, "run", progress=False, overwrite=True)
    runs.train(config, "run", progress=False, resume=True)


def write(name: str, text: str = "mine") -> None:
    path = Path("run", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def link(name: str) -> None:
    """Puts a link in the place of something that a run wrote."""
    path = Path("run", name)
    path.rename("aside")
    path.symlink_to(Path("aside").resolve())


def own_weights(name: str) -> None:
    save_file({"x": torch.zeros(2)}, Path("run", name))


FOREIGN: list[tuple[Callable[[str], None], str]] = [
    (write, "model/notes.txt"),
    (write, "model/encoder/notes.txt"),
    (write, "model/labels.json"),
    (write, "model/encoder/tokenizer.json"),
    (write, "epochs/mine"),
    (write, "epochs/7/notes"),
    (write, "state/notes"),
    (write, "state/start/notes"),
    (write, "metrics.json"),
    (write, "history.json"),
    (write, "metrics_epoch_0.json"),
    (write, "layers.json"),
    (write, "environment.json"),
    (write, "report.html"),
    (write, "WORDS.out"),
    (write, "WORDS.out.eval"),
    (own_weights, "model/model.safetensors"),
    (link, "model"),
    (link, "epochs"),
    (link, "state"),
    (link, "state/state.safetensors"),
    (link, "log.txt"),
    (link, "WORDS.out"),
    (link, "model/labels.json"),
]
ONLY_OVERWRITTEN: list[tuple[Callable[[str], None], str]] = [
    (write, "params-config.json"),
    (write, "dataset-configs.json"),
    (write, "state/state.safetensors"),
    (own_weights, "state/state.safetensors"),
]
PLACES = [(change, name, OVER) for change, name in FOREIGN + ONLY_OVERWRITTEN]
PLACES += [(change, name, RESUME) for change, name in FOREIGN]


@pytest.mark.parametrize(("change", "name", "arguments"), PLACES)
def test_what_a_run_did_not_write_is_neither_replaced_nor_removed(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[str], None],
    name: str,
    arguments: list[str],
) -> None:
    change(name)
    line = refused(arguments, capsys)
    where, _, reported = line.partition(": ")
    # Without its weights nothing says which other files of a model are ours.
    assert where == f"run/{name}" or (change is own_weights and where.startswith("run/model/"))
    assert ("is a symbolic link" in reported) == (change is link)
    assert reported.endswith("move it out of run, or give another --model_dir")


def test_files_with_other_names_stay_where_they_are(place: Path) -> None:
    names = ["notes.txt", ".thesis.old", ".notes.part", "test.out", "predictions/test.conllu"]
    for name in names:
        write(name)
    assert cli.train(OVER) == 0
    assert cli.train(RESUME) == 0
    assert all(Path("run", name).read_text() == "mine" for name in names)


def test_a_file_that_comes_during_training_is_not_replaced(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = runs.load_best_weights

    def load_best_weights(*arguments: Any) -> None:
        original(*arguments)
        write("WORDS.out")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "load_best_weights", load_best_weights)
        assert cli.train(OVER) == 1
    (line,) = plain_lines(capsys.readouterr().err)
    assert line.startswith("run/WORDS.out: was written by something else during training; move it out")
    assert Path("run/WORDS.out").read_text() == "mine"
    Path("run/WORDS.out").unlink()
    assert cli.train(RESUME) == 0


def as_training_data(path: str) -> list[str]:
    return ["--set", f"WORDS.train_data_path={path}"]


def hard_link(path: str) -> list[str]:
    os.link(path, "linked")
    return as_training_data("linked")


def symbolic_link(path: str) -> list[str]:
    os.symlink(path, "linked")
    return as_training_data("linked")


def in_linked_folder(path: str) -> list[str]:
    os.symlink("run", "other")
    return as_training_data(path.replace("run", "other"))


def as_encoder(path: str) -> list[str]:
    return ["--set", f"transformer_model={path}"]


def linked_encoder(path: str) -> list[str]:
    Path("encoder").mkdir()
    for name in os.listdir(path):
        os.symlink(Path(path, name).resolve(), Path("encoder", name))
    return as_encoder("encoder")


INPUTS: list[tuple[Callable[[str], list[str]], str]] = [
    (as_training_data, "run/WORDS.out"),
    (lambda path: ["--set", f"WORDS.dev_data_path={path}"], "./run/../run/WORDS.out"),
    (symbolic_link, "run/WORDS.out"),
    (hard_link, "run/WORDS.out"),
    (in_linked_folder, "run/WORDS.out"),
    (lambda path: ["--dataset_configs", path], "run/dataset-configs.json"),
    (lambda path: ["--parameters_config", path], "run/params-config.json"),
    (as_encoder, "run/state/start/encoder"),
    (linked_encoder, "run/model/encoder"),
    (lambda path: ["--retrain", path], "run"),
    (lambda path: ["--retrain", path], "run/epochs/1"),
]


@pytest.mark.parametrize(("flags", "path"), INPUTS)
def test_an_input_of_the_new_run_is_not_overwritten(
    place: Path, capsys: pytest.CaptureFixture[str], flags: Callable[[str], list[str]], path: str
) -> None:
    if path == "run/epochs/1":
        path = f"run/epochs/{os.listdir('run/epochs')[0]}"
    given = flags(path)
    # A second flag would add its datasets to those of the first.
    others = OVER[2:] if "--dataset_configs" in given else OVER
    line = refused([*others, *given], capsys)
    assert ": is an input of the run, and --overwrite would replace or remove it; copy it out of run" in line


def test_an_older_model_stays_until_the_new_run_can_train(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states, "save_model", full_disk)
    before = contents(Path("run/model"))
    assert cli.train(OVER) == 1
    assert contents(Path("run/model")) == before
    load_model("run")


@pytest.mark.parametrize("arguments", [OVER, RESUME])
@pytest.mark.parametrize("second", [OVER, RESUME])
def test_one_training_has_a_folder_until_it_ends_even_by_a_kill(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    second: list[str],
) -> None:
    def held() -> int:
        # In the midst of everything: the data was read, and training or the prediction at its end begins.
        trainer.train_step = dev_predictions.predict_file = lambda *_, **__: signal.pause()
        return cli.train(arguments)

    if RESUME not in (arguments, second):
        shutil.rmtree("run")
    child = children.start(held, tmp_path / "printed")
    try:
        log = Path("run/log.txt")
        read = log.read_text().count("data: read") if log.exists() else 0
        children.wait_for(child, until=lambda: log.exists() and log.read_text().count("data: read") > read)
        capsys.readouterr()
        assert cli.train(second) == 2
        (line,) = plain_lines(capsys.readouterr().err)
        assert line.startswith(f"run: is in use by process {child} on ")
        config = load_config(["data.json"], parameters_config="params.json")
        with pytest.raises(ConfigError, match=f"run: is in use by process {child} on "):
            runs.train(config, "run", overwrite=True, progress=False)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert cli.train(OVER) == 0
    assert not list(Path("run").glob("*lock*"))


def test_files_that_another_run_removes_during_the_first_check_are_no_fault(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = run_folder_lock.check_run_folder, 0

    def check(*arguments: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise FileNotFoundError("run/state/start")
        original(*arguments, **options)

    monkeypatch.setattr(run_folder_lock, "check_run_folder", check)
    assert cli.train(OVER) == 0
    assert calls == 2


def test_a_kill_leaves_no_temporary_file_for_ever(place: Path, tmp_path: Path) -> None:
    original, calls = states.save_file, 0

    def killed() -> int:
        def save_file(tensors: Any, path: Any, *more: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                # Safetensors writes beside the file it was given.
                Path(path).with_name(".tmpAbCdEf").write_text("half")
                os._exit(9)
            original(tensors, path, *more)

        states.save_file = save_file
        return cli.train(OVER)

    assert children.wait_for(children.start(killed, tmp_path / "printed")) == 9
    assert list(Path("run").rglob(".tmp*"))
    assert cli.train(RESUME) == 0
    assert not list(Path("run").rglob(".*"))


def test_a_training_within_a_training_does_not_get_its_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(["data.json"], parameters_config="params.json")
    original = trainer.train_step

    def train_step(*arguments: Any, **options: Any) -> Any:
        with pytest.raises(ConfigError, match=f"new: is in use by process {os.getpid()} on "):
            runs.train(config, "new", overwrite=True, progress=False)
        return original(*arguments, **options)

    monkeypatch.setattr(trainer, "train_step", train_step)
    runs.train(config, "new", progress=False)


@pytest.mark.parametrize("gone", ["model", "model/model.safetensors", "model/encoder/config.json"])
def test_a_best_model_that_has_gone_is_one_line_before_training(
    place: Path, capsys: pytest.CaptureFixture[str], gone: str
) -> None:
    shutil.copytree("run/model", "aside")
    shutil.rmtree(Path("run", gone)) if gone == "model" else Path("run", gone).unlink()
    if gone == "model/model.safetensors":
        # Without weights the other files cannot be recognised.
        assert refused(RESUME, capsys).startswith("run/model/")
    else:
        assert refused(RESUME, capsys, Path("run/state")).startswith(
            "run/model: is missing or incomplete; it should contain epoch "
        )
    shutil.rmtree("run/model", ignore_errors=True)
    shutil.move("aside", "run/model")
    assert cli.train(RESUME) == 0


def stop_after_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    original = runs.save_state

    def save_state(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_state", save_state)


@pytest.mark.parametrize("cache", ["off", "cache"])
def test_checksums_are_those_of_the_bytes_that_were_read(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: str
) -> None:
    original = runs.read_data
    new = [*FLAGS, "--model_dir", "new", "--data_cache", cache]

    def read_data(*arguments: Any, **options: Any) -> Any:
        data = original(*arguments, **options)
        Path("data.conllu").write_text(TREEBANK.replace("NOUN", "VERB"))
        return data

    with monkeypatch.context() as patch:
        patch.setattr(runs, "read_data", read_data)
        stop_after_first_epoch(patch)
        assert cli.train(new) == 130
    line = refused(["--resume", "new", "--device", "-1"], capsys, Path("new/state"))
    assert line == "data.conllu: has changed since new was started, so it cannot be resumed"
    Path("data.conllu").write_text(TREEBANK)
    assert cli.train(["--resume", "new", "--device", "-1"]) == 0


@pytest.mark.parametrize("cache", ["off", "cache"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: str
) -> None:
    original = run_data.DatasetReader.read_training

    def read_training(*arguments: Any) -> Any:
        data = original(*arguments)
        Path("data.conllu").write_text(TREEBANK.replace("NOUN", "VERB"))
        return data

    arguments = [*FLAGS, "--model_dir", "new", "--data_cache", cache]
    with monkeypatch.context() as patch:
        patch.setattr(run_data.DatasetReader, "read_training", read_training)
        assert cli.train(arguments) == 2
    (line,) = plain_lines(capsys.readouterr().err)
    assert line == "data.conllu: has changed while it was read; start again once it is complete"
    assert not Path("cache").exists()
    assert cli.train(arguments) == 0


def test_a_dev_file_that_changed_during_training_is_reported_at_the_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("data.conllu", "dev.conllu")
    original = trainer.evaluate

    def evaluate(*arguments: Any, **options: Any) -> Any:
        Path("dev.conllu").write_text(TREEBANK.replace("NOUN", "VERB"))
        return original(*arguments, **options)

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    assert cli.train([*FLAGS, "--model_dir", "new", "--set", "WORDS.dev_data_path=dev.conllu"]) == 0
    (line,) = [line for line in Path("new/log.txt").read_text().splitlines() if "has changed" in line]
    assert " WARNING dev.conllu: has changed during training; WORDS.out is predicted from the changed" in line


def test_a_resumed_run_computes_with_the_threads_of_its_start(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    original = trainer.train_step

    def train_step(*arguments: Any, **options: Any) -> Any:
        threads.append(torch.get_num_threads())
        return original(*arguments, **options)

    monkeypatch.setattr(trainer, "train_step", train_step)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        with monkeypatch.context() as patch:
            stop_after_first_epoch(patch)
            assert cli.train([*FLAGS, "--model_dir", "new"]) == 130
    finally:
        torch.set_num_threads(before)
    assert cli.train(["--resume", "new", "--device", "-1"]) == 0
    assert set(threads) == {before + 1} and len(threads) == 2
    assert torch.get_num_threads() == before
    assert f"using {before + 1} threads" in Path("new/log.txt").read_text()
