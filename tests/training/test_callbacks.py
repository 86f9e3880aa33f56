"""Callbacks: the events of a run, in order and with true numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import machamp_lite
from machamp_lite import progress
from machamp_lite.config import Config, load_config
from machamp_lite.errors import TrainingError
from machamp_lite.training import callbacks
from machamp_lite.training.optimizer import slanted_triangle
from machamp_lite.training.progress_bar import ProgressBar
from machamp_lite.training.run import train


class Recorder(machamp_lite.Callback):
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.on_train_start = self.on_step = self.on_epoch_end = self.on_train_end = self.events.append


@pytest.fixture
def load(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> Callable[..., Config]:
    """Loads a config of four sentences, two per batch."""

    def load_it(*overrides: str) -> Config:
        overrides = ("batching.batch_size=2", "training.optimizer.lr=0.01", *overrides)
        return load_config([write_config(UD=dataset)], parameters_config=tiny_params, overrides=list(overrides))

    return load_it


def test_the_events_of_a_run_are_in_order(load: Callable[..., Config], tmp_path: Path) -> None:
    recorder = Recorder()
    train(load(), tmp_path / "run", progress=False, callbacks=[recorder])
    start, *between, end = recorder.events
    assert (start.folder, start.step, start.steps, len(start.history)) == (tmp_path / "run", 0, 4, 0)
    names = [type(event).__name__ for event in between]
    assert names == ["Step", "Step", "EpochEnd"] * 2
    steps = [event for event in between if isinstance(event, callbacks.Step)]
    assert [(event.epoch, event.step) for event in steps] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert [event.words == event.epoch_words for event in steps] == [False, True, False, True]
    assert steps[0].losses is not None and set(steps[0].losses) <= {"upos", "lemma", "tree", "mood"}
    training = load().params.training
    factors = [slanted_triangle(step, steps=4, cut_frac=training.learning_rate_scheduler.cut_frac) for step in range(4)]
    assert [event.learning_rate for event in steps] == [0.01 * factor for factor in factors]
    ends = [event for event in between if isinstance(event, callbacks.EpochEnd)]
    history = json.loads((tmp_path / "run/history.json").read_text())
    assert [event.step for event in ends] == [2, 4]
    assert json.loads(json.dumps(ends[-1].metrics)) == history[-1]
    assert end.is_complete and end.best_epoch in (1, 2) and len(end.history) == 2
    assert (tmp_path / "run/UD.out").exists()


def test_smoothed_losses_are_between_the_losses_of_the_batches(load: Callable[..., Config], tmp_path: Path) -> None:
    recorder = Recorder()
    train(load("training.num_epochs=1"), tmp_path / "run", progress=False, callbacks=[recorder])
    first, second = (event.losses["upos"] for event in recorder.events if isinstance(event, callbacks.Step))
    mean = recorder.events[-1].history[0]["train"]["upos"]
    # The mean of two batches, and a smoothed value that gives the second one a twentieth.
    assert second - first == pytest.approx((2 * mean - 2 * first) / 20, rel=1e-4)


def test_a_resumed_run_starts_at_its_step(load: Callable[..., Config], tmp_path: Path) -> None:
    class Stop(machamp_lite.Callback):
        def on_epoch_end(self, event: callbacks.EpochEnd) -> None:
            if len(event.history) == 2:
                raise KeyboardInterrupt

    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        train(load(), tmp_path / "run", progress=False, callbacks=[recorder, Stop()])
    assert not recorder.events[-1].is_complete
    resumed = Recorder()
    train(load(), tmp_path / "run", progress=False, resume=True, callbacks=[resumed])
    start = resumed.events[0]
    assert (start.step, start.steps, len(start.history)) == (2, 4, 1)
    assert [event.step for event in resumed.events if isinstance(event, callbacks.Step)] == [3, 4]


def test_the_error_of_a_callback_is_not_changed(load: Callable[..., Config], tmp_path: Path) -> None:
    class Faulty(machamp_lite.Callback):
        def on_step(self, event: callbacks.Step) -> None:
            raise ZeroDivisionError("in a callback")

    with pytest.raises(ZeroDivisionError, match="in a callback") as caught:
        train(load(), tmp_path / "run", progress=False, callbacks=[Faulty()])
    assert caught.traceback[-1].name == "on_step"


def test_a_run_that_fails_ends_incomplete(load: Callable[..., Config], tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(TrainingError):
        train(load("training.optimizer.lr=1e30"), tmp_path / "run", progress=False, callbacks=[recorder])
    assert not recorder.events[-1].is_complete


def test_events_cannot_be_changed() -> None:
    event = callbacks.EpochEnd(step=1, history=[{}], is_best=False)
    with pytest.raises(AttributeError):
        event.step = 2  # type: ignore[misc]


def test_the_bar_of_an_epoch_has_the_time_left_of_the_run(
    load: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([100.0, 130.0])
    monkeypatch.setattr("machamp_lite.training.progress_bar.time.monotonic", lambda: next(now))
    bar = ProgressBar()
    bar.on_train_start(callbacks.TrainStart(folder=Path(), config=load(), step=4, steps=16, history=[]))
    with progress.shown():
        losses = {"upos": 0.5, "tree": 2.25}
        bar.on_step(
            callbacks.Step(epoch=2, step=6, words=50, epoch_words=100, learning_rate=4e-3, losses=losses)
        )
        # Two steps in 30 seconds, and ten are left.
        assert "epoch 2/2  50%|█████     | " in str(bar._bar)
        assert str(bar._bar).endswith(" words/s, 2:30 left, lr 4.0e-03, upos 0.50 tree 2.25")
        bar.on_train_end(callbacks.TrainEnd(folder=Path(), best_epoch=0, history=[], is_complete=False))
    assert bar._bar is None
    assert capsys.readouterr().err.endswith("\r")
