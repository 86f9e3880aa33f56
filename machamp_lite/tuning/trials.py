"""The trials of a search, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial.

    ``values`` are those of the searched keys; the first trial has none, because its config is the default. ``score`` is
    that of the best epoch so far, None before the first. ``fault`` says why a trial has failed.
    """

    number: int
    state: State
    values: Mapping[str, Any]
    score: float | None
    epochs: int
    seconds: float
    fault: str | None = None

    @property
    def is_default(self) -> bool:
        """Whether the trial is the one with the config as it is."""
        return self.number == 0

    def as_json(self) -> dict[str, Any]:
        """An object for trials.json."""
        return {key: value for key, value in asdict(self).items() if key != "fault" or value is not None}


def ranking(trials: Sequence[Trial]) -> list[Trial]:
    """The complete trials, the best first; of equal ones, the earliest."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.score is not None]
    return sorted(complete, key=lambda trial: (-(trial.score or 0.0), trial.number))


def best_so_far(trials: Sequence[Trial]) -> list[tuple[int, float]]:
    """The number of each complete trial, with the best score up to it."""
    best: list[tuple[int, float]] = []
    for trial in sorted(ranking(trials), key=lambda trial: trial.number):
        score = trial.score or 0.0
        best.append((trial.number, max(score, best[-1][1]) if best else score))
    return best
