"""Callbacks: what happens in a run, as events for the terminal, for experiment trackers, and for your own code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The terminal is set up before pydantic is needed.
if TYPE_CHECKING:
    from machamp_lite.config.schema import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStart:
    """Data and model are loaded. ``history`` has the finished epochs of a resumed run, as in history.json."""

    folder: Path
    config: "Config"
    # Finished updates, and those in all epochs.
    step: int
    steps: int
    history: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One update of the weights.

    ``losses`` are the losses of tasks, smoothed over the batches of the epoch. On a GPU, reading them waits for all
    steps so far, so that they are None except in every 50th step.
    """

    epoch: int
    step: int
    # Words of the epoch so far, and all its words.
    words: int
    epoch_words: int
    # The highest of all parameter groups.
    learning_rate: float
    losses: Mapping[str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEnd:
    """The end of an epoch; ``history`` has all epochs so far, as in history.json. ``is_best`` needs dev scores."""

    step: int
    history: Sequence[Mapping[str, Any]]
    is_best: bool

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The object of this epoch in history.json."""
        return self.history[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainEnd:
    """The end of a run: complete, with dev predictions in its folder, or stopped by a signal or an error."""

    folder: Path
    best_epoch: int
    history: Sequence[Mapping[str, Any]]
    is_complete: bool


class Callback:
    """Base class of callbacks, which are called in the main process of a run. Each method does nothing by default.

    An exception in a method ends the run.

        class Losses(machamp_lite.Callback):
            def on_epoch_end(self, event):
                print(event.metrics["epoch"], event.metrics["train"])

        machamp_lite.train("my.json", "runs/mine", callbacks=[Losses()])
    """

    def on_train_start(self, event: TrainStart) -> None:
        """Called before the first step."""

    def on_step(self, event: Step) -> None:
        """Called after each step."""

    def on_epoch_end(self, event: EpochEnd) -> None:
        """Called after each epoch, when its dev data is scored."""

    def on_train_end(self, event: TrainEnd) -> None:
        """Called at the end, also if the run was stopped after ``on_train_start``."""
