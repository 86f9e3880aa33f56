"""A trained run: its scores, its model and its report, read from its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machamp_lite.api.loading import load
from machamp_lite.files.run_files import REPORT
from machamp_lite.reporting.history import read_history

# They import torch, and a misspelt folder is reported before.
if TYPE_CHECKING:
    from machamp_lite.api.predictor import Predictor
    from machamp_lite.inference.evaluation import Scores
    from machamp_lite.reporting.run_results import RunResults


@dataclass(frozen=True, init=False)
class Run:
    """The run in a folder; its files are read when they are needed. Raises ``ConfigError`` if there is no such run.

    ``device`` is that of ``model``, see ``load``.

        run = machamp_lite.Run("runs/mine")
        run.best_epoch, run.scores, run.model.predict("Trains run late.")
    """

    folder: Path
    device: str | int = field(default="auto", repr=False)

    def __init__(self, folder: str | Path, device: str | int = "auto") -> None:
        read_history(Path(folder))
        # The class is frozen.
        object.__setattr__(self, "folder", Path(folder))
        object.__setattr__(self, "device", device)

    @cached_property
    def _results(self) -> "RunResults":
        from machamp_lite.reporting.run_results import read_run

        return read_run(self.folder)

    @property
    def scores(self) -> "Mapping[str, Scores]":
        """The dev scores of the model by dataset: {dataset: {task: {metric: value}}}."""
        from machamp_lite.metrics import METRICS

        return {
            dataset: {
                task: {name: value for name, value in values.items() if name in METRICS}
                for task, values in tasks.items()
            }
            for dataset, tasks in self._results.scores.items()
        }

    @property
    def best_epoch(self) -> int:
        """The epoch of the model, from 1."""
        return self._results.best_epoch

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """One object per epoch, as in history.json."""
        return self._results.history

    @cached_property
    def model(self) -> "Predictor":
        """The model of the best epoch, which is loaded when it is first used."""
        return load(self.folder, device=self.device)

    def report(self, path: str | Path | None = None) -> Path:
        """Writes the HTML report, by default ``report.html`` in the run folder; returns its path.

        Raises ``ConfigError`` if another file is there, or if a package for reports is missing.
        """
        from machamp_lite.reporting.page import write_report

        target = self.folder / REPORT if path is None else Path(path)
        write_report([self.folder], target)
        return target
