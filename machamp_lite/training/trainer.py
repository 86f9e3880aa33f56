"""The training loop."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

import torch
from torch import Tensor
from tqdm.auto import tqdm

from machamp_lite.dataloading.batch_sampler import BatchSampler
from machamp_lite.dataloading.example import Example
from machamp_lite.errors import StoppedError, TrainingError
from machamp_lite.inference.evaluation import MetricTracker, evaluate, sum_of_main_metrics
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.checkpoint import TrainerState
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.optimizer import set_encoder_trainable, set_rates
from machamp_lite.training.randomness import seed_everything
from machamp_lite.training.summary import epoch_lines
from machamp_lite.training.train_step import train_shared, train_step, train_together

__all__ = ["seed_everything", "train_epochs", "train_shared", "train_step", "train_together"]

logger = logging.getLogger(__name__)

# How often the loss is looked at: on a GPU each look waits for it.
LOG_EVERY_N_STEPS = {"cpu": 1, "cuda": 50}
SOURCES_SHOWN = 5


def train_epochs(
    model: Model,
    *,
    optimizer: torch.optim.Optimizer,
    done: TrainerState,
    sampler: BatchSampler,
    dev: Mapping[str, Sequence[Example]],
    after_epoch: Callable[[TrainerState], None],
    within_epoch: Callable[[TrainerState], None],
    should_stop: Callable[[], bool],
    show_bar: bool = True,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Trains a model for what is not ``done`` yet of its epochs, or until patience is at its end.

    ``after_epoch`` is called with what is done, which says the best epoch: the one with the highest sum of main dev
    metrics, or the last one where there is no dev data. ``within_epoch`` is called every ``save_minutes``, and when
    ``should_stop``, asked after each step, says so: then ``StoppedError`` is raised. Raises ``TrainingError`` if
    losses or weights are no finite numbers; neither is called then.

    Of several ``processes``, each has a part of every batch of the sampler. All call ``after_epoch`` and
    ``within_epoch``; the first one scores the dev data, and only its metrics are kept.
    """
    training = model.config.params.training
    epochs = range(1, training.num_epochs + 1)
    # An epoch is a function of its number: batches are cut again when their turn comes, and not kept till then.
    steps = sum(-(-len(sampler.epoch(epoch)) // training.accumulation_steps) for epoch in epochs)
    saves = _Alarm(training.save_minutes)

    def stop() -> NoReturn:
        raise StoppedError(f"stopped after step {done.step} of {steps}")

    def stop_if_asked() -> None:
        if should_stop():
            stop()

    for epoch in epochs[done.epoch :]:
        if training.patience is not None and done.epochs_since_best >= training.patience:
            logger.info(
                "stops after epoch %d: %d epochs in a row were no better than epoch %d",
                done.epoch,
                done.epochs_since_best,
                done.best_epoch,
            )
            break
        set_encoder_trainable(model, epoch=epoch)
        batches, running = sampler.epoch(epoch), done.running
        watch = LossMonitor(model)
        start = time.perf_counter() - running.seconds
        model.train()
        with tqdm(
            total=batches.words,
            initial=running.words,
            desc=f"epoch {epoch}/{training.num_epochs}",
            unit=" words",
            unit_scale=True,
            disable=not (show_bar and processes.is_main_process),
            leave=False,
        ) as bar:
            for group in _groups(batches[running.batches :], training.accumulation_steps):
                set_rates(optimizer, step=done.step, steps=steps, scheduler=training.learning_rate_scheduler)
                if processes.count == 1:
                    losses = train_together(
                        model, [model.batch(batch, only_annotated=True) for batch in group], optimizer
                    )
                else:
                    losses = train_shared(model, group, optimizer, step=done.step, processes=processes)
                for batch, batch_losses in zip(group, losses, strict=True):
                    running.add(batch_losses, total=batch_losses.total, words=_words(batch))
                    watch.add(batch_losses, batch)
                done.step += 1
                running.seconds = time.perf_counter() - start
                bar.update(running.words - bar.n)
                # First, for it notices who has gone: a loss that was computed with them never comes from a GPU.
                asked, save = processes.any_of(should_stop(), saves.is_due())
                if done.step % LOG_EVERY_N_STEPS.get(model.device.type, 1) == 0:
                    bar.set_postfix_str(f"loss {watch.look():.3f}", refresh=False)
                if asked or save:
                    watch.check_finite_weights()
                    within_epoch(done)
                    saves.restart()
                    if asked:
                        stop()
        watch.check_finite_weights()
        trackers: dict[str, MetricTracker] = {}
        broken_off = False
        if processes.is_main_process:
            try:
                trackers = {
                    name: evaluate(model, name, examples, before_each=stop_if_asked)
                    for name, examples in dev.items()
                }
            except StoppedError:
                broken_off = True
        scores = {name: tracker.scores() for name, tracker in trackers.items()}
        # Without any score, the last epoch is the best.
        total = sum_of_main_metrics(scores, model.config.tasks()) if any(scores.values()) else None
        broken_off, total = processes.told((broken_off, total))
        if broken_off:
            within_epoch(done)
            stop()
        weights, mean_losses = model.task_weights.weights(), running.mean_losses()
        done.metrics.append(
            {
                "epoch": epoch,
                "seconds": round(running.seconds, 2),
                "words_per_second": round(running.words / running.seconds, 1),
                "train": mean_losses,
                "total_loss": running.mean_total(),
                "task_weights": weights,
                "dev": scores,
                "counts": {name: tracker.counts() for name, tracker in trackers.items()},
                "labels": {name: tracker.label_scores_as_json() for name, tracker in trackers.items()},
            }
        )
        model.task_weights.end_epoch(mean_losses)
        is_best = done.finish_epoch(total, keep=training.keep_top_n)
        for line in epoch_lines(done.metrics[-1], is_best=is_best and total is not None):
            logger.info("%s", line)
        after_epoch(done)
        saves.restart()
        if processes.any_of(should_stop())[0]:
            stop()


class _Alarm:
    """Says when so many minutes have gone by; without a number, never."""

    def __init__(self, minutes: float | None) -> None:
        self.seconds = math.inf if minutes is None else 60 * minutes
        self.restart()

    def restart(self) -> None:
        self.start = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self.start >= self.seconds


class LossMonitor:
    """Looks at losses, of which several batches may have come together, and at weights."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.unseen: list[tuple[Mapping[str, Tensor], list[Example]]] = []
        self.last: list[Example] = []

    def add(self, losses: Mapping[str, Tensor], batch: list[Example]) -> None:
        self.unseen.append((losses, batch))
        self.last = batch

    def look(self) -> float:
        """The sum of the last batch's losses; raises ``TrainingError`` with the first batch that has a bad one."""
        total = 0.0
        for losses, batch in self.unseen:
            values = {task: loss.item() for task, loss in losses.items()}
            total = sum(values.values())
            bad = [task for task, value in values.items() if not math.isfinite(value)]
            if bad:
                raise _no_number(f"the loss of {', '.join(bad)} is {values[bad[0]]} in the batch", batch)
        self.unseen.clear()
        return total

    def check_finite_weights(self) -> None:
        """The same, and raises ``TrainingError`` if weights are no finite numbers: they are not to be saved."""
        self.look()
        for name, parameter in self.model.named_parameters():
            if not parameter.isfinite().all():
                raise _no_number(f"the weights {name} are no finite numbers after the batch", self.last)


def _no_number(what: str, batch: Sequence[Example]) -> TrainingError:
    sources = ", ".join(example.source for example in batch[:SOURCES_SHOWN])
    return TrainingError(
        f"{what} with {sources}; expected a finite number: try a lower training.optimizer.lr"
    )


def _groups(batches: Sequence[list[Example]], size: int) -> Iterator[list[list[Example]]]:
    """The batches of each update, made when its turn comes; the last one of an epoch may have fewer."""
    return (list(batches[start : start + size]) for start in range(0, len(batches), size))


def _words(batch: Sequence[Example]) -> int:
    """Words of a batch; what is no word, as texts of a TSV, is counted by its spaces."""
    return sum(example.num_words for example in batch)
