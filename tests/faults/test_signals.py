"""Ctrl-C, SIGTERM and SIGHUP: the running step is finished, its state saved, and one line says how to go on."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import plain_lines, wait_for
from forked import outcome, start_training, train_to_the_end

from machamp_lite.cli import main as cli
from machamp_lite.training import dev_predictions, trainer
from machamp_lite.training import run as runs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Signals are handled even if the tests were started in the background or by nohup, where they are ignored."""
    init_model = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL))
    }
    yield
    for number, handler in init_model.items():
        signal.signal(number, handler)


@pytest.fixture
def flags(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> list[str]:
    sets = ["training.num_epochs=30", "training.save_minutes=null", "encoder.dropout=0.3"]
    return [
        *("--dataset_configs", write_config(WORDS=dataset), "--parameters_config", tiny_params),
        *("--device", "-1", "--set", "batching.max_tokens=40"),
        *(part for value in sets for part in ("--set", value)),
    ]


def has_logged(run: Path, text: str) -> Callable[[], bool]:
    log = run / "log.txt"
    return lambda: log.exists() and text in log.read_text()


def test_a_terminated_command_gives_the_command_to_go_on_which_ends_bit_for_bit_like_an_unbroken_run(
    flags: list[str], tmp_path: Path
) -> None:
    run, whole = tmp_path / "my run", tmp_path / "whole"
    train_to_the_end([*flags, "--model_dir", str(whole)], tmp_path / "printed")
    command = [sys.executable, str(ROOT / "train.py"), *flags, "--model_dir", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 2:" in line:
                process.send_signal(signal.SIGTERM)
                break
        reported = plain_lines(process.stderr.read())
    assert process.returncode == 130
    assert len(reported) == 1
    what, _, given = reported[0].partition("; to resume: ")
    assert what.startswith("stopped after step ")
    assert shlex.split(given) == ["python", "train.py", "--resume", str(run)]
    train_to_the_end([*shlex.split(given)[2:], "--device", "-1"], tmp_path / "printed")
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize("number", STOPPING)
def test_stopping_again_and_again_changes_nothing(flags: list[str], tmp_path: Path, number: int) -> None:
    run, whole, log = tmp_path / "run", tmp_path / "whole", tmp_path / "printed"
    flags += ["--set", "training.num_epochs=8"]
    train_to_the_end([*flags, "--model_dir", str(whole)], log)
    child = start_training([*flags, "--model_dir", str(run)], log)
    for epoch in (1, 3, 6):
        assert wait_for(child, seconds=20, until=has_logged(run, f"epoch {epoch}:")) is None
        os.kill(child, number)
        assert wait_for(child) == 130
        child = start_training(["--resume", str(run), "--device", "-1"], log)
    assert wait_for(child) == 0
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_before_the_first_step_just_stops(
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    monkeypatch.setattr(runs, "read_data", lambda *_, **__: os.kill(os.getpid(), number))
    before = [signal.getsignal(each) for each in STOPPING]
    assert cli.train([*flags, "--model_dir", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"
    assert [signal.getsignal(each) for each in STOPPING] == before


# Where the signals come, how many of them, and how the line begins that is reported.
PLACES = [
    ("train_step", 1, "stopped after step 1 of "),
    ("train_step", 2, "stopped at once"),
    ("evaluate", 1, "stopped after step "),
    ("evaluate", 2, "stopped at once"),
    ("predict_file", 1, "stopped at once"),
]


@pytest.mark.parametrize(("place", "times", "beginning"), PLACES)
def test_a_signal_stops_the_command_at_any_point(
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    times: int,
    beginning: str,
) -> None:
    module = dev_predictions if place == "predict_file" else trainer
    original, calls = getattr(module, place), 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        # At once leaves no state of the first epoch, and then there is nothing to go on with.
        if calls == (1 if times == 1 else 5):
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)

    flags += ["--set", "training.num_epochs=6"]
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(module, place, interrupted)
        capsys.readouterr()
        assert cli.train([*flags, "--model_dir", str(run)]) == 130
    (reported,) = plain_lines(capsys.readouterr().err)
    assert reported.startswith(beginning)
    assert reported.endswith(f"; to resume: python train.py --resume {run}")
    assert reported in (run / "log.txt").read_text()
    assert cli.train(["--resume", str(run), "--device", "-1"]) == 0
    assert outcome(run) == outcome(whole)
