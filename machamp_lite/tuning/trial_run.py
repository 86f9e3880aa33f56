"""A trial as a run: reports the score of each epoch, and stops the run if it is pruned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from machamp_lite.config.schema import Config
from machamp_lite.errors import (
    ConfigError,
    DataError,
    MachampError,
    OutputError,
    StoppedError,
    first_line,
    is_out_of_memory,
)
from machamp_lite.files.checksums import read_any_json
from machamp_lite.files.run_files import EPOCHS, HISTORY, MODEL, STATE, STATE_FILE
from machamp_lite.model.model_folder import remove_model
from machamp_lite.training.callbacks import Callback, EpochEnd, TrainStart
from machamp_lite.training.checkpoint import remove_state
from machamp_lite.training.run_group import is_finished
from machamp_lite.tuning.objective import Objective
from machamp_lite.tuning.study import Study
from machamp_lite.tuning.trials import State


class TrialCallback(Callback):
    """Reports the scores of a trial to a study; ``is_pruned`` is true as soon as the run should stop."""

    def __init__(self, study: Study, number: int, objective: Objective) -> None:
        self.study, self.number, self.objective = study, number, objective
        self.is_pruned = False
        self._reported = self._num_epochs = 0

    def on_train_start(self, event: TrainStart) -> None:
        # The scores of an interrupted trial may not have been stored.
        self._num_epochs = event.config.params.training.num_epochs
        self._report(event.history)

    def on_epoch_end(self, event: EpochEnd) -> None:
        self._report(event.history)

    def _report(self, history: Sequence[Mapping[str, Any]]) -> None:
        for number in range(self._reported + 1, len(history) + 1):
            self.study.report(self.number, number, self.objective.score(history[:number]))
        self._reported = len(history)
        if history:
            self.is_pruned = self.study.should_prune(self.number, len(history), num_epochs=self._num_epochs)


class TrainTrial(Protocol):
    """Trains a run. The ``is_pruned`` of its callback stops it with ``StoppedError``; a signal sets it to false."""

    def __call__(
        self, config: Config, folder: Path, *, overwrite: bool, resume: bool, callback: TrialCallback
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of a trial that has ended."""

    state: State
    score: float | None
    seconds: float
    fault: str | None = None


def run_trial(
    config: Config, folder: Path, callback: TrialCallback, train: TrainTrial, *, is_resumed: bool
) -> TrialResult:
    """Trains a trial, or the rest of one that was interrupted; raises ``StoppedError`` if a signal has stopped it."""
    state: State = "complete"
    fault = None
    has_state = is_resumed and (folder / STATE / STATE_FILE).exists()
    if not is_resumed or not is_finished(folder):
        try:
            train(config, folder, overwrite=is_resumed and not has_state, resume=has_state, callback=callback)
        except StoppedError:
            if not callback.is_pruned:
                raise
            state = "pruned"
        except (ConfigError, DataError, OutputError):
            raise
        except MachampError as error:
            # Such as a loss that is not finite because of a high learning rate.
            state, fault = "failed", error.faults[0]
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            state, fault = "failed", first_line(error)
    history = read_any_json(folder / HISTORY)
    history = history if isinstance(history, list) else []
    score = callback.objective.score(history) if history else None
    seconds = sum(epoch["seconds"] + epoch["dev_seconds"] for epoch in history)
    return TrialResult(state, score, seconds, fault)


def remove_models(folder: Path) -> None:
    """Removes the models and the state of a trial; scores, predictions and configs are kept."""
    remove_state(folder / STATE)
    for path in (folder / MODEL, *sorted((folder / EPOCHS).glob("*"))):
        remove_model(path)
    if (folder / EPOCHS).is_dir() and not any((folder / EPOCHS).iterdir()):
        (folder / EPOCHS).rmdir()
