"""The tune command: trials are runs, the best one can be trained again; a search can be interrupted and shared."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import pytest

from machamp_lite import tuning
from machamp_lite.cli.commands import main
from machamp_lite.training import run as runs
from machamp_lite.tuning.study import Study

SPACE = {
    "training.optimizer.lr": {"low": 0.0001, "high": 0.1, "log": True},
    "D.tasks.same.class_weights": {"choices": [None, "balanced"]},
}


@pytest.fixture
def flags(
    write_config: Callable[..., str], pair_dataset: dict[str, Any], tiny_params: str, tmp_path: Path
) -> list[str]:
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    return [
        write_config(D=pair_dataset),
        *("--space", str(tmp_path / "space.json"), "--parameters_config", tiny_params, "--device", "-1"),
        *("--dir", str(tmp_path / "tuning")),
    ]


def tune(*flags: str) -> int:
    return main(["tune", *flags])


def trials(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "trials.json").read_text())["trials"]
    return found


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def starts(folder: Path) -> int:
    """How often a trial was started or resumed."""
    return (folder / "log.txt").read_text().count("run folder: ")


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Interrupts training at a number of saved states."""
    original, saved = runs.save_state, list[Any]()

    def stop(number: int) -> None:
        def save_state(*arguments: Any, **options: Any) -> None:
            original(*arguments, **options)
            saved.append(arguments)
            if len(saved) == number:
                raise KeyboardInterrupt

        monkeypatch.setattr(runs, "save_state", save_state)

    return stop


def test_the_best_trial_can_be_trained_again_with_the_printed_command(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tuning"
    assert tune(*flags, "--trials", "4") == 0
    output = capsys.readouterr()
    found = trials(folder)
    assert [trial["number"] for trial in found] == [0, 1, 2, 3]
    assert found[0]["values"] == {} and all(trial["values"].keys() == SPACE.keys() for trial in found[1:])
    best = max(found, key=lambda trial: trial["score"])
    for trial in found:
        history = json.loads((folder / "trials" / str(trial["number"]) / "history.json").read_text())
        assert trial["score"] == max(epoch["dev_sum"] for epoch in history)
        assert (folder / "trials" / str(trial["number"]) / "model").exists() == (trial is best)
        assert not (folder / "trials" / str(trial["number"]) / "state").exists()
        assert f"trial {trial['number']} of 4" in output.err
    lines = output.out.splitlines()
    assert lines[-1] == f"written: {folder / 'params.json'}"
    command = lines[-2].partition(": ")[2]
    assert command.startswith("machamp-lite train --dataset_configs")
    assert main([*shlex.split(command)[1:], "--model_dir", str(tmp_path / "best"), "--device", "-1"]) == 0
    assert weights(tmp_path / "best") == weights(folder / "trials" / str(best["number"]))


def test_the_first_trial_is_the_run_without_a_search(flags: list[str], tmp_path: Path) -> None:
    assert tune(*flags, "--trials", "1") == 0
    params = flags[flags.index("--parameters_config") + 1]
    train = ["train", "--dataset_configs", flags[0], "--parameters_config", params, "--device", "-1"]
    assert main([*train, "--model_dir", str(tmp_path / "plain")]) == 0
    assert weights(tmp_path / "tuning" / "trials" / "0") == weights(tmp_path / "plain")


def test_without_keys_of_datasets_the_params_are_enough(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.json").write_text(json.dumps({"training.optimizer.lr": {"choices": [0.001, 0.01]}}))
    assert tune(*flags, "--trials", "2", "--metric", "same.accuracy") == 0
    assert not (tmp_path / "tuning" / "config.json").exists()
    assert f"--dataset_configs {flags[0]} --parameters_config" in capsys.readouterr().out
    assert json.loads((tmp_path / "tuning" / "trials.json").read_text())["score"] == "same.accuracy"


def test_an_interrupted_search_continues_where_it_was(
    flags: list[str], tmp_path: Path, stop_after: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [*flags[:-1], str(tmp_path / "whole"), "--trials", "3"]
    assert tune(*whole) == 0
    # In the second trial, after its first epoch.
    stop_after(3)
    assert tune(*flags, "--trials", "3") == 130
    assert "repeat the command" in capsys.readouterr().err
    assert tune(*flags, "--trials", "3") == 0
    assert "resuming at epoch 2" in capsys.readouterr().err
    pairs = zip(trials(tmp_path / "whole"), trials(tmp_path / "tuning"), strict=True)
    for one, other in pairs:
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert [starts(tmp_path / "tuning" / "trials" / name) for name in "012"] == [1, 2, 1]
    # More trials are added to the finished ones, and a repeated command trains nothing.
    assert tune(*flags, "--trials", "4") == 0
    assert tune(*flags, "--trials", "4") == 0
    assert [starts(tmp_path / "tuning" / "trials" / name) for name in "0123"] == [1, 2, 1, 1]


def test_a_killed_search_loses_no_finished_trial_and_runs_the_interrupted_one_again(
    flags: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "tuning"
    child = children.start(lambda: tune(*flags, "--trials", "3"), tmp_path / "log")
    # The first epoch of the second trial is finished.
    children.wait_for(child, until=(folder / "trials" / "1" / "history.json").exists)
    assert (folder / "trials" / "1" / "history.json").exists(), (tmp_path / "log").read_text()
    os.kill(child, signal.SIGKILL)
    children.wait_for(child)
    assert tune(*flags, "--trials", "3") == 0
    assert [trial["state"] for trial in trials(folder)] == ["complete"] * 3
    assert [starts(folder / "trials" / name) for name in "012"] == [1, 2, 1]


def test_two_processes_share_the_trials(flags: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "tuning"
    logs = [tmp_path / "first", tmp_path / "second"]
    workers = [children.start(lambda: tune(*flags, "--trials", "5"), log) for log in logs]
    assert [children.wait_for(worker, seconds=120) for worker in workers] == [0, 0], [log.read_text() for log in logs]
    assert [(trial["number"], trial["state"]) for trial in trials(folder)] == [(n, "complete") for n in range(5)]
    assert [starts(folder / "trials" / str(number)) for number in range(5)] == [1] * 5
    assert len({json.dumps(trial["values"]) for trial in trials(folder)}) == 5
    assert len(list(folder.glob("trials/*/model"))) == 1


@pytest.mark.slow
def test_workers_are_started_with_their_share_of_the_cores(
    flags: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(tuning.__file__).parents[2]), *sys.path]))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert tune(*flags, "--trials", "3", "--workers", "2") == 0
    assert [trial["state"] for trial in trials(tmp_path / "tuning")] == ["complete"] * 3
    environment = json.loads((tmp_path / "tuning" / "trials" / "1" / "environment.json").read_text())
    assert environment["machine"]["threads"] == 1
    output = capfd.readouterr()
    assert output.out.count("written: ") == 1 and "epoch 1" not in output.err


@pytest.mark.slow
def test_workers_stop_when_the_command_is_killed(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(tuning.__file__).parents[2]), *sys.path]))
    long = ("--trials", "2", "--workers", "2", "--set", "training.num_epochs=1000", "--no_pruning")
    # All ends of the pipe are closed when the command and its workers have ended.
    ours, theirs = os.pipe()

    def work() -> int:
        os.dup2(theirs, 1)
        os.close(theirs)
        return tune(*flags, *long)

    command = children.start(work, tmp_path / "printed")
    os.close(theirs)
    folder = tmp_path / "tuning" / "trials"
    children.wait_for(command, seconds=90, until=lambda: len(list(folder.glob("*/log.txt"))) == 2)
    os.kill(command, signal.SIGKILL)
    assert children.wait_for(command) == -signal.SIGKILL, (tmp_path / "printed").read_text()
    with open(ours, "rb", buffering=0) as output:
        children.wait_for_end(output)


def test_pruned_trials_keep_their_scores_but_no_model(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tuning"
    monkeypatch.setattr(Study, "should_prune", lambda self, number, epoch, *, num_epochs: (number, epoch) == (1, 1))
    assert tune(*flags, "--trials", "3", "--keep", "3") == 0
    assert [trial["state"] for trial in trials(folder)] == ["complete", "pruned", "complete"]
    assert len(json.loads((folder / "trials" / "1" / "history.json").read_text())) == 1
    assert sorted(path.parent.name for path in folder.glob("trials/*/model")) == ["0", "2"]
    assert not list(folder.glob("trials/*/state"))
    output = capsys.readouterr()
    assert "pruned after epoch 1" in output.err and "2 complete, 1 pruned" in output.out


def test_a_trial_that_fails_does_not_end_the_search(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"training.optimizer.lr": {"choices": [1e20, 1e25]}, "training.grad_norm": {"choices": [None, 1e29]}}
    (tmp_path / "space.json").write_text(json.dumps(space))
    assert tune(*flags, "--trials", "3") == 0
    assert [trial["state"] for trial in trials(tmp_path / "tuning")] == ["complete", "failed", "failed"]
    assert all(trial["fault"] for trial in trials(tmp_path / "tuning")[1:])
    assert "The default is the best of all trials" in capsys.readouterr().out
    assert [path.parent.name for path in (tmp_path / "tuning").glob("trials/*/model")] == ["0"]


def test_values_that_cannot_be_combined_are_a_failed_trial(flags: list[str], tmp_path: Path) -> None:
    space = {
        "D.tasks.same.class_weights": {"choices": ["balanced", "sqrt"]},
        "D.tasks.same.logit_adjustment": {"low": 0.5, "high": 1},
    }
    (tmp_path / "space.json").write_text(json.dumps(space))
    assert tune(*flags, "--trials", "2") == 0
    assert "both correct for the frequency of labels" in trials(tmp_path / "tuning")[1]["fault"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "training.optimizer.eps=0.1"], "eps: found 0.1, expected 1e-08"),
        (["--space", "OTHER"], "space: training.optimizer.lr: found nothing, expected {"),
        (["--metric", "same.accuracy"], "score: found 'same.accuracy', expected 'sum of main metrics'"),
        (["--seed", "7"], "seed: found 7, expected 8446"),
        (["--storage", "sqlite:///tuning.db"], "storage: found 'sqlite:///tuning.db', expected nothing"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(
    flags: list[str], given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text('{"encoder.dropout": {"low": 0.1, "high": 0.5}}')
    given = [str(tmp_path / "other.json") if text == "OTHER" else text for text in given]
    started = [*flags, "--trials", "1", "--set", "training.num_epochs=1"]
    assert tune(*started) == 0
    capsys.readouterr()
    assert tune(*started, *given) == 2
    assert message in capsys.readouterr().err


def test_other_data_and_a_folder_with_something_else_are_refused(
    flags: list[str], tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tuning"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert tune(*flags, "--trials", "1") == 2
    assert "is not a folder of tune" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    assert tune(*flags, "--trials", "1", "--set", "training.num_epochs=1") == 0
    (folder / "params.json").write_text("mine")
    assert tune(*flags, "--trials", "2", "--set", "training.num_epochs=1") == 1
    assert "params.json: was written by something else" in capsys.readouterr().err
    assert (folder / "params.json").read_text() == "mine"
    pairs.write_text(pairs.read_text().replace("dog", "cat"))
    assert tune(*flags, "--trials", "3", "--set", "training.num_epochs=1") == 2
    assert f"{pairs}: has changed since" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--trials", "0"], "--trials: found 0, expected a number from 1"),
        (["--workers", "0"], "--workers: found 0"),
        (["--keep", "-1"], "--keep: found -1"),
        (["--metric", "same.f1_makro"], "--metric: unknown 'same.f1_makro', expected TASK.METRIC"),
        (["--metric", "same.f1_macro"], "add it to additional_metrics of 'same'"),
        (["--set", "D.dev_data_path=null"], "no dataset has dev_data_path"),
        (["--set", "training.optimizer.learning_rate=1"], "learning_rate: unknown key"),
        (["--space", "nothing.json"], "nothing.json: no such file"),
        (["--storage", "nothing://here"], "--storage: cannot be opened"),
        (["--trails", "3"], "unknown flag --trails; did you mean '--trials'?"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(
    flags: list[str], given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(*flags, "--trials", "2", *given) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "tuning" / "trials").exists()


def test_a_missing_package_is_named_with_its_extra(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tuning, "find_spec", lambda name: None if name == "optuna" else object())
    assert tune(*flags, "--trials", "2") == 2
    expected = "tune: found no package optuna; run pip install 'machamp_lite[tune]'\n"
    assert capsys.readouterr().err.endswith(expected)
