"""The training loop: steps, and dev scores after each epoch."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from machamp_lite.dataloading.batch_sampler import BatchSampler
from machamp_lite.dataloading.example import Example
from machamp_lite.errors import StoppedError, TrainingError
from machamp_lite.inference.evaluation import MetricTracker, evaluate, scores_by_task, sum_of_main_metrics
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.callbacks import Callback, EpochEnd, Step
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.gradient_log import means_of, task_gradients
from machamp_lite.training.optimizer import set_encoder_trainable, set_rates
from machamp_lite.training.score_files import memory_in_use
from machamp_lite.training.train_step import BatchLosses, WeightedLoss, train_step
from machamp_lite.training.trainer_state import TrainerState

logger = logging.getLogger(__name__)

# On a GPU, reading the loss waits for all steps so far.
LOG_EVERY_N_STEPS = {"cpu": 1, "cuda": 50}
SOURCES_SHOWN = 5
# The share of earlier batches in a smoothed loss.
SMOOTHING = 0.95


@dataclass(kw_only=True)
class Trainer:
    """Trains a model for the remaining epochs of a ``state``, or until ``patience`` ends training.

    ``after_epoch`` is called after each epoch, when the state has its scores. The best epoch is the one with the
    highest sum of main dev metrics, or the last one without dev data. ``save`` is called within epochs: every
    ``save_minutes``, and before ``StoppedError`` is raised because ``should_stop``, which is called after each step,
    has returned true. Losses or weights that are not finite raise ``TrainingError``, and nothing is saved.

    Each of several ``processes`` trains on a part of every batch and calls both functions. Only the main process scores
    the dev data and has ``callbacks``.
    """

    model: Model
    optimizer: torch.optim.Optimizer
    state: TrainerState
    sampler: BatchSampler
    dev: Mapping[str, Sequence[Example]]
    after_epoch: Callable[[TrainerState], None]
    save: Callable[[TrainerState], None]
    # Loads the mean of the weights of some kept epochs.
    load_average: Callable[[Sequence[int]], None] = lambda epochs: None
    should_stop: Callable[[], bool] = lambda: False
    callbacks: Sequence[Callback] = ()
    processes: Processes = SINGLE_PROCESS
    # The number of updates in all epochs.
    steps: int = field(init=False)
    last_save: float = field(init=False)

    def __post_init__(self) -> None:
        training = self.model.config.params.training
        # The batches of an epoch depend only on its number, so that they can be made again when it starts.
        batches = (len(self.sampler.epoch(epoch)) for epoch in range(1, training.num_epochs + 1))
        self.steps = sum(math.ceil(number / training.accumulation_steps) for number in batches)
        self.last_save = time.monotonic()

    def train(self) -> None:
        """Trains the remaining epochs, and averages the best ones if ``average_top_n`` says so."""
        if not self.state.averaged:
            self._train_epochs()
            self._average_epochs()

    def _train_epochs(self) -> None:
        state, training = self.state, self.model.config.params.training
        while state.epoch < training.num_epochs:
            if training.patience is not None and state.epochs_since_best >= training.patience:
                logger.info(
                    "stopping after epoch %d: the last %d epochs were no better than epoch %d",
                    state.epoch,
                    state.epochs_since_best,
                    state.best_epoch,
                )
                return
            self._train_epoch(state.epoch + 1)
            start = time.perf_counter()
            trackers, total = self._evaluate()
            self._finish_epoch(trackers, total, dev_seconds=time.perf_counter() - start)

    def _average_epochs(self) -> None:
        """Replaces the model by the average of the best epochs, and scores it as one more epoch."""
        state, number = self.state, self.model.config.params.training.average_top_n
        epochs = state.kept_epochs[:number]
        if number < 2:
            return
        if len(epochs) < 2:
            logger.warning("training.average_top_n: found only one epoch, so that the model is not an average")
            return
        best_total = state.best_epochs[0][1]
        if self.processes.is_main_process:
            self.load_average(epochs)
        start = time.perf_counter()
        trackers, total = self._evaluate()
        self._finish_epoch(trackers, total, dev_seconds=time.perf_counter() - start, averaged=epochs)
        scores = ""
        if total is not None and best_total is not None:
            comparison = "better than" if total > best_total else "not better than"
            scores = f": sum of main metrics {total:.4f}, {comparison} {best_total:.4f} in the best epoch, {epochs[0]}"
        logger.info("the model is the average of the epochs %s%s", ", ".join(map(str, epochs)), scores)

    def _train_epoch(self, epoch: int) -> None:
        """Takes the remaining steps of an epoch."""
        model, state, running = self.model, self.state, self.state.running
        set_encoder_trainable(model, epoch=epoch)
        # Once per epoch, because the trainable parameters of a distributed module cannot change.
        loss_module = self.processes.data_parallel(WeightedLoss(model))
        batches, monitor = self.sampler.epoch(epoch), LossMonitor(model)
        start = time.perf_counter() - running.seconds
        model.train()
        for group in _groups(batches[running.batches :], model.config.params.training.accumulation_steps):
            for batch, losses in zip(group, self._step(group, loss_module), strict=True):
                running.add(losses, words=sum(example.num_words for example in batch))
                monitor.add(losses, batch)
            running.seconds = time.perf_counter() - start
            # Before losses are read: reading one could wait forever for a lost process, which is detected here.
            stops, saves = self.processes.any_rank(self.should_stop(), self._save_is_due())
            is_read = state.step % LOG_EVERY_N_STEPS.get(model.device.type, 1) == 0
            losses_of_tasks = monitor.check_finite() if is_read else None
            self._end_step(epoch, epoch_words=batches.words, losses=losses_of_tasks)
            if stops or saves:
                monitor.check_finite_weights()
                self._save_now()
            if stops:
                raise self._stopped()
        monitor.check_finite_weights()

    def _step(self, batches: Sequence[Sequence[Example]], loss_module: nn.Module) -> list[BatchLosses]:
        """Takes one step at its learning rates."""
        scheduler = self.model.config.params.training.learning_rate_scheduler
        every = self.model.config.params.training.log_gradients
        if every is not None and self.state.step % every == 0:
            similarities = task_gradients(self.model, batches, step=self.state.step, processes=self.processes)
            self.state.running.add_gradients(similarities)
        set_rates(self.optimizer, step=self.state.step, steps=self.steps, scheduler=scheduler)
        losses = train_step(
            self.model,
            batches,
            self.optimizer,
            step=self.state.step,
            loss_module=loss_module,
            processes=self.processes,
        )
        self.state.step += 1
        return losses

    def _end_step(self, epoch: int, *, epoch_words: int, losses: Mapping[str, float] | None) -> None:
        """Calls the callbacks after a step."""
        event = Step(
            epoch=epoch,
            step=self.state.step,
            words=self.state.running.words,
            epoch_words=epoch_words,
            learning_rate=max((group["lr"] for group in self.optimizer.param_groups), default=0.0),
            losses=losses,
        )
        for callback in self.callbacks:
            callback.on_step(event)

    def _evaluate(self) -> tuple[dict[str, MetricTracker], float | None]:
        """Scores the dev data in the main process; all processes get the sum of main metrics, None without scores."""
        trackers: dict[str, MetricTracker] = {}
        was_stopped = False

        def check_interrupts() -> None:
            if self.should_stop():
                raise self._stopped()

        if self.processes.is_main_process:
            try:
                for name, examples in self.dev.items():
                    trackers[name] = evaluate(self.model, name, examples, before_each=check_interrupts)
            except StoppedError:
                was_stopped = True
        scores = {name: tracker.scores() for name, tracker in trackers.items()}
        total = sum_of_main_metrics(scores, self.model.config.tasks()) if any(scores.values()) else None
        was_stopped, total = self.processes.broadcast_object((was_stopped, total))
        if was_stopped:
            self._save_now()
            raise self._stopped()
        return trackers, total

    def _finish_epoch(
        self,
        trackers: Mapping[str, MetricTracker],
        total: float | None,
        *,
        dev_seconds: float,
        averaged: Sequence[int] = (),
    ) -> None:
        """Adds the metrics of the epoch to the state, and calls the callbacks and ``after_epoch``.

        The average of some epochs is one more epoch without training, for which no callback is called.
        """
        state, running, task_weights = self.state, self.state.running, self.model.task_weights
        found = running.mean_losses()
        mean_losses = {task: found[task] for task in self.model.tasks if task in found}
        metrics = {
            "epoch": state.epoch + 1,
            "seconds": round(running.seconds, 2),
            "dev_seconds": round(dev_seconds, 2),
            "words_per_second": round(running.words / running.seconds, 1) if running.seconds else 0.0,
            "memory": memory_in_use(self.model.device),
            "train": mean_losses,
            "total_loss": running.mean_total(),
            "task_weights": task_weights.weights(),
            "dev_sum": total,
            "dev": {name: tracker.scores() for name, tracker in trackers.items()},
            "tasks": scores_by_task(trackers.values()),
            "counts": {name: tracker.counts() for name, tracker in trackers.items()},
            "labels": {name: tracker.label_scores_as_json() for name, tracker in trackers.items()},
        }
        if running.gradients:
            metrics["gradients"] = means_of(running.gradients)
        training = self.model.config.params.training
        if averaged:
            metrics["average_of"] = list(averaged)
            state.metrics.append(metrics)
            state.finish_average(averaged, total, keep=training.keep_top_n)
        else:
            state.metrics.append(metrics)
            task_weights.end_epoch(mean_losses)
            is_best = state.finish_epoch(total, keep=max(training.keep_top_n, training.average_top_n))
            event = EpochEnd(step=state.step, history=state.metrics, is_best=is_best and total is not None)
            for callback in self.callbacks:
                callback.on_epoch_end(event)
        self.after_epoch(state)
        self.last_save = time.monotonic()
        if self.processes.any_rank(self.should_stop())[0]:
            raise self._stopped()

    def _save_is_due(self) -> bool:
        minutes = self.model.config.params.training.save_minutes
        return minutes is not None and time.monotonic() - self.last_save >= 60 * minutes

    def _save_now(self) -> None:
        self.save(self.state)
        self.last_save = time.monotonic()

    def _stopped(self) -> StoppedError:
        return StoppedError(f"stopped after step {self.state.step} of {self.steps}")


class LossMonitor:
    """Checks that losses and weights are finite; losses are collected and checked together."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.unchecked: list[tuple[Mapping[str, Tensor], Sequence[Example]]] = []
        self.last_batch: Sequence[Example] = []
        self.smoothed: dict[str, float] = {}

    def add(self, losses: BatchLosses, batch: Sequence[Example]) -> None:
        """Adds a batch to check."""
        self.unchecked.append((losses.tasks, batch))
        self.last_batch = batch

    def check_finite(self) -> dict[str, float]:
        """The loss of each task, smoothed over its batches; raises ``TrainingError`` if a loss is not finite."""
        for losses, batch in self.unchecked:
            values = {task: loss.item() for task, loss in losses.items()}
            bad = [task for task, value in values.items() if not math.isfinite(value)]
            if bad:
                raise _not_finite(f"the loss of {', '.join(bad)} is {values[bad[0]]} in the batch", batch)
            for task, value in values.items():
                self.smoothed[task] = SMOOTHING * self.smoothed.get(task, value) + (1 - SMOOTHING) * value
        self.unchecked.clear()
        return dict(self.smoothed)

    def check_finite_weights(self) -> None:
        """Raises ``TrainingError`` if losses or weights are not finite; called before weights are saved."""
        self.check_finite()
        for name, parameter in self.model.named_parameters():
            if not parameter.isfinite().all():
                raise _not_finite(f"the weights {name} are not finite after the batch", self.last_batch)


def _not_finite(what: str, batch: Sequence[Example]) -> TrainingError:
    sources = ", ".join(example.source for example in batch[:SOURCES_SHOWN])
    return TrainingError(
        f"{what} with {sources}; expected a finite number: try a lower training.optimizer.lr"
    )


def _groups(batches: Sequence[list[Example]], size: int) -> Iterator[list[list[Example]]]:
    """The batches of each update, loaded when they are needed; the last group of an epoch may be smaller."""
    return (list(batches[start : start + size]) for start in range(0, len(batches), size))
