"""The progress of a run, from which the training loop can be resumed."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from machamp_lite.training.train_step import BatchLosses


@dataclass(slots=True)
class RunningEpoch:
    """Sums over the batches of the current epoch.

    ``sums`` are the losses per task and ``counts`` the number of batches with that task; ``total`` and ``totals`` are
    the same for the total loss.
    """

    batches: int = 0
    words: int = 0
    seconds: float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    total: Tensor | float = 0.0
    totals: int = 0
    # By two tasks: the sum of a similarity of their gradients, and the number of its values.
    gradients: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, losses: BatchLosses, *, words: int) -> None:
        """Adds the losses of one batch."""
        self.batches += 1
        self.words += words
        for task, loss in losses.tasks.items():
            self.sums[task] = self.sums.get(task, 0.0) + loss
            self.counts[task] = self.counts.get(task, 0) + 1
        if losses.total is not None:
            self.total = self.total + losses.total
            self.totals += 1

    def add_gradients(self, similarities: Mapping[str, Mapping[str, float]]) -> None:
        """Adds the results of ``task_gradients``."""
        for task, own in similarities.items():
            for other, value in own.items():
                total, number = self.gradients.setdefault(task, {}).get(other, (0.0, 0))
                self.gradients[task][other] = [total + value, number + 1]

    def mean_total(self) -> float:
        """The mean of the total loss over the batches that have one."""
        return float(self.total) / max(1, self.totals)

    def mean_losses(self) -> dict[str, float]:
        """The mean loss of each task over its batches."""
        return {task: total.item() / self.counts[task] for task, total in self.sums.items()}


@dataclass(slots=True)
class TrainerState:
    """Finished epochs and steps, the epochs whose models are kept, and the metrics of each epoch.

    ``best_epochs`` are pairs of an epoch and its sum of main dev metrics (None without dev data), the best first.
    ``averaged`` are the epochs whose mean is the last epoch of a finished run, see ``training.average_top_n``.
    """

    epoch: int = 0
    step: int = 0
    best_epochs: list[tuple[int, float | None]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    running: RunningEpoch = field(default_factory=RunningEpoch)
    averaged: list[int] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch; 0 before the first."""
        return self.best_epochs[0][0] if self.best_epochs else 0

    @property
    def epochs_since_best(self) -> int:
        """The number of epochs since the best one."""
        return self.epoch - self.best_epoch

    @property
    def kept_epochs(self) -> list[int]:
        """The numbers of the best epochs, whose models are kept, the best first."""
        return [epoch for epoch, _ in self.best_epochs]

    def finish_epoch(self, total: float | None, *, keep: int) -> bool:
        """Ends the current epoch and ranks it by its sum of metrics; returns whether it is the best so far.

        The earlier one of equal sums is better; without sums, the last epoch is the best.
        """
        self.epoch += 1
        self.running = RunningEpoch()
        rank = 0
        if total is not None:
            # Written with "not" so that a sum that is NaN is never better.
            rank = sum(not (other is None or total > other) for _, other in self.best_epochs)
        self.best_epochs.insert(rank, (self.epoch, total))
        del self.best_epochs[keep:]
        return rank == 0

    def finish_average(self, averaged: Sequence[int], total: float | None, *, keep: int) -> None:
        """Adds the mean of some epochs as one more epoch, which becomes the best one."""
        self.epoch += 1
        self.averaged = list(averaged)
        self.best_epochs.insert(0, (self.epoch, total))
        del self.best_epochs[keep:]

    def as_json(self) -> dict[str, Any]:
        """The state as JSON, see ``from_json``."""
        document = dataclasses.asdict(self)
        running = document["running"]
        running["sums"] = {task: float(total) for task, total in running["sums"].items()}
        running["total"] = float(running["total"])
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "TrainerState":
        """The state from the result of ``as_json``; a damaged document can raise any error."""
        running = RunningEpoch(**document["running"])
        running.sums = {task: torch.tensor(total) for task, total in document["running"]["sums"].items()}
        best_epochs = [(epoch, total) for epoch, total in document["best_epochs"]]
        epoch, step = document["epoch"], document["step"]
        return cls(epoch, step, best_epochs, document["metrics"], running, document["averaged"])
