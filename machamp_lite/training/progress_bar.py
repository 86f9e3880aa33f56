"""The progress bar of an epoch."""

import time
from typing import Any

from machamp_lite import progress
from machamp_lite.training.callbacks import Callback, Step, TrainEnd, TrainStart

# The bar has a fixed width, so that losses are cut on a narrow terminal and not the bar.
_FORMAT = "{desc} {percentage:3.0f}%|{bar:10}| {rate_noinv_fmt}{postfix}"


class ProgressBar(Callback):
    """A bar with the speed, the time left for the whole run, the learning rate and the smoothed losses of tasks."""

    def __init__(self) -> None:
        self._bar: Any | None = None

    def on_train_start(self, event: TrainStart) -> None:
        self._num_epochs = event.config.params.training.num_epochs
        self._first_step, self._steps = event.step, event.steps
        self._start = time.monotonic()

    def on_step(self, event: Step) -> None:
        if self._bar is None:
            description = f"epoch {event.epoch}/{self._num_epochs}"
            self._bar = progress.open_bar(
                description, total=event.epoch_words, unit="words", unit_scale=True, bar_format=_FORMAT
            )
        if self._bar is None:
            return
        if event.losses is not None:
            losses = " ".join(f"{task} {loss:.2f}" for task, loss in event.losses.items())
            left = clock(self._seconds_left(event.step))
            self._bar.set_postfix_str(f"{left} left, lr {event.learning_rate:.1e}, {losses}", refresh=False)
        self._bar.update(event.words - self._bar.n)
        if event.words >= event.epoch_words:
            self._close()

    def on_train_end(self, event: TrainEnd) -> None:
        self._close()

    def _seconds_left(self, step: int) -> float:
        """The time left in the run, evaluations included."""
        done = step - self._first_step
        return (time.monotonic() - self._start) / done * (self._steps - step)

    def _close(self) -> None:
        progress.close_bar(self._bar)
        self._bar = None


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    >>> clock(3725.9), clock(59)
    ('1:02:05', '0:59')
    """
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
