"""Experiment trackers: callbacks that send losses, learning rates and dev scores to other programs.

Each needs its package. All of them keep their data on this machine unless their own settings say otherwise.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from machamp_lite.errors import ConfigError, missing_packages_line
from machamp_lite.training.callbacks import Callback, EpochEnd, Step, TrainEnd, TrainStart

# Trackers keep every number in memory or in a file.
STEPS_BETWEEN_LOSSES = 10
PROJECT = "machamp_lite"


class Tracker(Callback):
    """Base class of trackers; ``package`` is the one to install."""

    package: str

    def start(self, event: TrainStart, *, name: str, params: Mapping[str, Any]) -> None:
        """Starts a run with a name and the values of its params."""
        raise NotImplementedError

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Adds values after a step."""
        raise NotImplementedError

    def finish(self) -> None:
        """Writes everything that is not yet written."""
        raise NotImplementedError

    def on_train_start(self, event: TrainStart) -> None:
        # A resumed run is a run of its own, which starts at a later step.
        name = f"{event.folder.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
        self.start(event, name=name, params=_flat(event.config.params.model_dump(mode="json")))

    def on_step(self, event: Step) -> None:
        if event.losses is not None and event.step % STEPS_BETWEEN_LOSSES == 0:
            losses = {f"step/{task}/loss": loss for task, loss in event.losses.items()}
            self.log({**losses, "step/learning_rate": event.learning_rate}, step=event.step)

    def on_epoch_end(self, event: EpochEnd) -> None:
        metrics = event.metrics
        values = {f"train/{task}/loss": loss for task, loss in metrics["train"].items()}
        values |= {"train/total_loss": metrics["total_loss"], "train/words_per_second": metrics["words_per_second"]}
        for dataset, tasks in metrics["dev"].items():
            for task, scores in tasks.items():
                values |= {f"dev/{dataset}/{task}/{metric}": score for metric, score in scores.items()}
        if metrics["dev_sum"] is not None:
            values["dev/sum"] = metrics["dev_sum"]
        self.log({**values, "epoch": metrics["epoch"]}, step=event.step)

    def on_train_end(self, event: TrainEnd) -> None:
        self.finish()


class TensorBoard(Tracker):
    """Writes RUN/tensorboard/DATE_TIME, to be shown with ``tensorboard --logdir RUN/tensorboard``."""

    package = "tensorboard"

    def start(self, event: TrainStart, *, name: str, params: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = event.folder / "tensorboard" / time.strftime("%Y.%m.%d_%H.%M.%S")
        self._writer = SummaryWriter(str(folder))

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self._writer.close()


class WeightsAndBiases(Tracker):
    """Writes RUN/wandb, for ``wandb sync``; the variable WANDB_MODE=online sends everything at once."""

    package = "wandb"

    def start(self, event: TrainStart, *, name: str, params: Mapping[str, Any]) -> None:
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        self._run = wandb.init(project=PROJECT, name=name, dir=str(event.folder), config=dict(params), mode=mode)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        self._run.finish()


class MLflow(Tracker):
    """Writes RUN/mlflow.db, for ``mlflow ui``, or to the server that the variable MLFLOW_TRACKING_URI names."""

    package = "mlflow"

    def start(self, event: TrainStart, *, name: str, params: Mapping[str, Any]) -> None:
        import mlflow

        self._mlflow = mlflow
        default = f"sqlite:///{(event.folder / 'mlflow.db').absolute()}"
        mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", default))
        mlflow.set_experiment(PROJECT)
        mlflow.start_run(run_name=name)
        mlflow.log_params(dict(params))

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        # Names of datasets and tasks may have characters that MLflow refuses.
        allowed = {re.sub(r"[^/\w.\- :]", "_", name): value for name, value in values.items()}
        self._mlflow.log_metrics(allowed, step=step)

    def finish(self) -> None:
        self._mlflow.end_run()


class Trackio(Tracker):
    """Writes to the user's folder of trackio, for ``trackio show``."""

    package = "trackio"

    def start(self, event: TrainStart, *, name: str, params: Mapping[str, Any]) -> None:
        import trackio

        self._run = trackio.init(project=PROJECT, name=name, config=dict(params))

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        self._run.finish()


TRACKERS: dict[str, type[Tracker]] = {each.package: each for each in (TensorBoard, WeightsAndBiases, MLflow, Trackio)}


def make_trackers(names: Sequence[str]) -> list[Tracker]:
    """The trackers of ``training.trackers``; raises ``ConfigError`` with a line for each missing package."""
    faults = [
        missing_packages_line("training -> trackers", [name], extra=name)
        for name in names
        if find_spec(TRACKERS[name].package) is None
    ]
    if faults:
        raise ConfigError(faults)
    return [TRACKERS[name]() for name in names]


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested params with one key each, such as ``training.num_epochs``; lists and null as text."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
