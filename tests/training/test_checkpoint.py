"""A stopped run is resumed as if it had never stopped."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_metrics import metrics_of

from machamp_lite.cli import main as cli
from machamp_lite.files.run_files import STATE_FILE
from machamp_lite.model.serialization import load_model
from machamp_lite.training import resume_checks as conditions
from machamp_lite.training import run as runs
from machamp_lite.training import trainer
from machamp_lite.training.checkpoint import SavedState


@pytest.fixture
def flags(
    write_config: Callable[..., str], dataset: dict[str, Any], pair_dataset: dict[str, Any], tiny_params: str
) -> list[str]:
    config = write_config(WORDS=dataset, PAIRS=pair_dataset)
    values = ["training.num_epochs=4", "encoder.dropout=0.3", "batching.max_tokens=40"]
    sets = [part for value in values for part in ("--set", value)]
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1", *sets]


def stop_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends a run like Ctrl-C once the state of an epoch has been written."""
    original = runs.save_state

    def save_state(*arguments: Any, state: Any, **options: Any) -> None:
        original(*arguments, state=state, **options)
        if state.epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_state", save_state)


def outcome(folder: Path) -> dict[str, Any]:
    """All files of a run, without its times."""
    names = ["model/model.safetensors", "model/labels.json", "WORDS.out", "WORDS.out.eval", "PAIRS.out"]
    return {
        **metrics_of(folder),
        **{name: (folder / name).read_bytes() for name in names},
    }


@pytest.mark.parametrize("scheme", ["static", "uncertainty", "dwa", "random", "famo"])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, epoch: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = [*flags, "--set", f"training.task_weighting={scheme}"]
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    with monkeypatch.context() as stopping:
        stop_after(epoch, stopping)
        assert cli.train([*flags, "--model_dir", str(broken)]) == 130
    assert not (broken / "WORDS.out").exists()
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    assert outcome(broken) == outcome(whole)
    assert not (broken / "state").exists()


def test_a_run_with_sampling_weights_is_resumed_within_an_epoch(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*flags, "--set", "WORDS.sampling_weight=3", "--set", "PAIRS.oversample=same"]
    assert cli.train([*flags, "--model_dir", str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as stopping:
        saves = iter(range(1000))
        # In the second epoch.
        stopping.setattr(trainer.Trainer, "_save_is_due", lambda self: self.state.epoch == 1 and next(saves) == 1)
        original = runs.save_state

        def save_state(*arguments: Any, state: Any, **options: Any) -> None:
            original(*arguments, state=state, **options)
            if state.running.batches:
                raise KeyboardInterrupt

        stopping.setattr(runs, "save_state", save_state)
        assert cli.train([*flags, "--model_dir", str(tmp_path / "broken")]) == 130
    assert cli.train(["--resume", str(tmp_path / "broken"), "--device", "-1"]) == 0
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


def test_a_run_with_a_frozen_encoder_can_be_resumed(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*flags, "--set", "training.learning_rate_scheduler.gradual_unfreezing=true"]
    assert cli.train([*flags, "--model_dir", str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as stopping:
        stop_after(1, stopping)
        assert cli.train([*flags, "--model_dir", str(tmp_path / "broken")]) == 130
    assert cli.train(["--resume", str(tmp_path / "broken"), "--device", "-1"]) == 0
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_kept_epochs_patience_and_accumulation_are_resumed(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    sums = [1.0, 3.0, 2.0, 2.5]
    every_sum = iter(sums + sums)
    monkeypatch.setattr("machamp_lite.training.trainer.sum_of_main_metrics", lambda *_: next(every_sum))
    values = ["num_epochs=9", "keep_top_n=3", "patience=2", "accumulation_steps=3"]
    flags = [*flags, *(part for value in values for part in ("--set", f"training.{value}"))]
    tasks = {"upos.learning_rate": "0.02", "upos.ignore_label": "VERB"}
    flags += [part for key, value in tasks.items() for part in ("--set", f"WORDS.tasks.{key}={value}")]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    with monkeypatch.context() as stopping:
        stop_after(epoch, stopping)
        assert cli.train([*flags, "--model_dir", str(broken)]) == 130
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    assert next(every_sum, None) is None, "a run that has stopped goes straight to prediction"
    assert outcome(broken) == outcome(whole)
    assert len(outcome(whole)["history.json"]) == 4
    for name in ("epochs/3", "epochs/4"):
        weights = [(run / name / "model.safetensors").read_bytes() for run in (whole, broken)]
        assert weights[0] == weights[1]
    assert (broken / "layers.json").read_bytes() == (whole / "layers.json").read_bytes()
    kept = [{path.name for path in (run / "epochs").iterdir()} for run in (whole, broken)]
    assert kept == [{"3", "4"}] * 2


@pytest.fixture
def stopped(
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Path:
    """The folder of a run that was stopped after its first epoch."""
    run = tmp_path / "run"
    with monkeypatch.context() as stopping:
        stop_after(1, stopping)
        assert cli.train([*flags, "--model_dir", str(run)]) == 130
    capsys.readouterr()
    return run


def test_that_a_run_was_stopped_is_no_error_in_its_log(stopped: Path) -> None:
    log = (stopped / "log.txt").read_text()
    assert "INFO stopped" in log and "ERROR" not in log


@pytest.fixture
def resume_errors(stopped: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """A function that resumes the stopped run, which must fail, and returns the lines of the error."""

    def resume_errors(*flags: str, folder: Path = stopped) -> list[str]:
        assert cli.train(["--resume", str(folder), *flags, "--device", "-1"]) == 2
        return [line for line in capsys.readouterr().err.splitlines() if not line[:2].isdecimal()]

    return resume_errors


def edit(path: Path, **changes: Any) -> None:
    """Changes values of a JSON file; the keys of each are joined by two underscores."""
    document = json.loads(path.read_text())
    for keys, value in changes.items():
        *places, last = keys.split("__")
        place = document
        for key in places:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(document))


def test_no_flag_changes_a_resumed_run(resume_errors: Callable[..., list[str]], tmp_path: Path) -> None:
    for flag in (["--set", "training.num_epochs=9"], ["--retrain", "x"], ["--sequential"], ["--seed", "1"]):
        (line,) = resume_errors(*flag)
        assert line.startswith(f"{flag[0]}: a resumed run keeps its config")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (None, "there is no such folder; did you mean"),
        ([], "it is not a run folder"),
        (["dataset-configs.json"], "the run was stopped before it saved a state; start it again with --overwrite"),
        (["dataset-configs.json", "model"], "the run is finished; to train its model further, start a new run with"),
    ],
)
def test_why_a_folder_has_no_run_to_resume_is_reported(
    resume_errors: Callable[..., list[str]], tmp_path: Path, files: list[str] | None, reason: str
) -> None:
    (tmp_path / "other").mkdir()
    for name in files or []:
        (tmp_path / "other" / name).touch()
    (line,) = resume_errors(folder=tmp_path / ("othre" if files is None else "other"))
    assert f"found no run to resume: {reason}" in line


def test_a_changed_config_is_reported_key_by_key(resume_errors: Callable[..., list[str]], stopped: Path) -> None:
    params, datasets = (stopped / name for name in ("params-config.json", "dataset-configs.json"))
    kept = params.read_text(), datasets.read_text()
    edit(params, training__num_epochs=9)
    (line,) = resume_errors()
    assert line == (f"{params}: training -> num_epochs: found 9, expected 4, with which the run was started")
    edit(params, training__optimizer__lr=0.5)
    edit(datasets, WORDS__tasks__upos__loss_weight=2.0, WORDS__max_sents=3)
    assert [line.split(": found")[0] for line in resume_errors()] == [
        f"{params}: training -> num_epochs",
        f"{params}: training -> optimizer -> lr",
        f"{datasets}: WORDS -> max_sents",
        f"{datasets}: WORDS -> tasks -> upos -> loss_weight",
    ]
    params.write_text(kept[0])
    datasets.write_text(kept[1])
    document = json.loads(kept[1])
    del document["PAIRS"]
    datasets.write_text(json.dumps(document))
    (line,) = resume_errors()
    assert line.startswith(f"{datasets}: PAIRS: found nothing, expected ")
    datasets.write_text(kept[1])
    assert cli.train(["--resume", str(stopped), "--device", "-1"]) == 0


def test_changed_data_and_versions_are_reported_by_name(
    resume_errors: Callable[..., list[str]], stopped: Path, treebank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = "so it cannot be resumed"
    kept = treebank.read_text()
    treebank.write_text(kept + "\n")
    assert resume_errors() == [f"{treebank}: has changed since {stopped} was started, {ending}"]
    treebank.write_text(kept)
    with monkeypatch.context() as patch:
        patch.setattr(conditions, "STATE_FORMAT", 99)
        (line,) = resume_errors()
        assert line.startswith("the format of states: found 99, but ") and line.endswith(ending)
    version = str(torch.__version__)
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    assert resume_errors() == [f"torch: found 2.99.0, but {stopped} was started with {version}, {ending}"]


@pytest.mark.parametrize("damage", ["empty", "half", "other"])
def test_a_damaged_state_is_reported_in_one_line(
    resume_errors: Callable[..., list[str]], stopped: Path, damage: str
) -> None:
    path = stopped / "state" / STATE_FILE
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "other": b"x" * 1000}[damage])
    (line,) = resume_errors()
    assert line.startswith(f"{stopped / 'state'}: contains no state from which a run can be resumed (")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["static", "uncertainty", "dwa", "random"])
@pytest.mark.parametrize("step", [1, 5])
def test_a_run_is_resumed_within_an_epoch(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, step: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = [*flags, "--set", f"training.task_weighting={scheme}", "--set", "training.save_minutes=1e-9"]
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    original = runs.save_state

    def stopping(*arguments: Any, state: Any, **options: Any) -> None:
        original(*arguments, state=state, **options)
        if state.step == step and state.running.batches:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_state", stopping)
        assert cli.train([*flags, "--model_dir", str(broken)]) == 130
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    assert f", step {step}\n" in (broken / "log.txt").read_text()
    assert outcome(broken) == outcome(whole)


@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_run_with_a_reduced_vocabulary_can_be_resumed(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    values = ["WORDS.max_sents=2", "PAIRS.max_sents=1", "training.optimizer.weight_decay=5"]
    values += ["training.save_minutes=1e-9", "training.learning_rate_scheduler.gradual_unfreezing=true"]
    flags = [*flags, *(part for value in values for part in ("--set", value))]
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    assert "the remaining embeddings get weight decay only" in (whole / "log.txt").read_text()
    original = runs.save_state

    def stopping(*arguments: Any, state: Any, **options: Any) -> None:
        original(*arguments, state=state, **options)
        if state.step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_state", stopping)
        assert cli.train([*flags, "--model_dir", str(broken)]) == 130
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    assert outcome(broken) == outcome(whole)


@pytest.mark.parametrize(("minutes", "within"), [("1e-9", True), ("15", False), ("null", False)])
def test_states_are_saved_within_epochs_every_save_minutes(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: str, within: bool
) -> None:
    saved: list[tuple[int, int]] = []
    original = runs.save_state

    def recording(*arguments: Any, state: Any, **options: Any) -> None:
        saved.append((state.epoch, state.running.batches))
        original(*arguments, state=state, **options)

    monkeypatch.setattr(runs, "save_state", recording)
    run = tmp_path / "run"
    assert cli.train([*flags, "--set", f"training.save_minutes={minutes}", "--model_dir", str(run)]) == 0
    assert [epoch for epoch, batches in saved if not batches] == [1, 2, 3, 4]
    assert any(batches for _, batches in saved) == within


@pytest.mark.parametrize("value", ["0", "-1", '"often"'])
def test_save_minutes_must_be_positive(
    flags: list[str], capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert cli.train([*flags, "--set", f"training.save_minutes={value}", "--check"]) == 2
    assert "training -> save_minutes" in capsys.readouterr().err


def test_a_kept_state_can_be_resumed_again(flags: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli.train([*flags, "--set", "training.keep_state=true", "--model_dir", str(run)]) == 0
    assert {path.name for path in (run / "state").iterdir()} == {STATE_FILE, "start"}
    before = outcome(run)
    (run / "WORDS.out").unlink()
    assert cli.train(["--resume", str(run), "--device", "-1"]) == 0
    assert outcome(run) == before


@pytest.mark.parametrize("bad", ["loss", "weights"])
def test_losses_that_are_nan_leave_the_last_good_state_and_the_best_model(
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bad: str,
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    flags = [*flags, "--set", "training.save_minutes=1e-9"]
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    original, calls = trainer.train_step, 0

    def spoiling(model: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        losses = original(model, *arguments, **options)
        calls += 1
        if calls == 8 and bad == "weights":
            next(model.parameters()).data.fill_(float("inf"))
        elif calls == 8:
            tasks = losses[0].tasks
            tasks["upos" if "upos" in tasks else "same"].fill_(float("nan"))
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_step", spoiling)
        capsys.readouterr()
        assert cli.train([*flags, "--model_dir", str(run)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "expected a finite number" in line]
    assert re.search(r" batch with \S+:\d+", line)
    assert SavedState.load(run / "state").document["step"] == 7
    load_model(run)
    assert cli.train(["--resume", str(run), "--device", "-1"]) == 0
    assert outcome(run) == outcome(whole)
