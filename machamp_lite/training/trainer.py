"""The training loop."""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from machamp_lite.batching.batch import Batch
from machamp_lite.batching.instances import Instance
from machamp_lite.batching.sampler import Sampler
from machamp_lite.errors import TrainingError
from machamp_lite.evaluation import autocast, evaluate, sum_of_main_metrics
from machamp_lite.model import Model
from machamp_lite.training.optimization import set_encoder_trainable, set_rates
from machamp_lite.training.state import Progress
from machamp_lite.training.summary import epoch_lines

logger = logging.getLogger(__name__)

# How often the loss is looked at: on a GPU each look waits for it.
STEPS_BETWEEN_LOOKS = {"cpu": 1, "cuda": 50}


def seed_everything(seed: int) -> None:
    """Seeds every random generator that training draws from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def train_epochs(
    model: Model,
    *,
    optimizer: torch.optim.Optimizer,
    done: Progress,
    sampler: Sampler,
    dev: Mapping[str, Sequence[Instance]],
    after_epoch: Callable[[Progress], None],
    show_bar: bool = True,
) -> None:
    """Trains a model for the epochs that are not ``done`` yet, or until patience is at its end.

    ``after_epoch`` is called with what is done, which says the best epoch: the one with the highest sum of main dev
    metrics, or the last one where there is no dev data. Raises ``TrainingError`` if a loss is no finite number.
    """
    training = model.config.params.training
    epochs = range(1, training.num_epochs + 1)
    # An epoch is a function of its number: batches are cut again when their turn comes, and not kept till then.
    steps = sum(-(-len(sampler.epoch(epoch)) // training.accumulation_steps) for epoch in epochs)
    for epoch in epochs[done.epoch :]:
        if training.patience is not None and done.epochs_since_best >= training.patience:
            logger.info(
                "stops after epoch %d: %d epochs in a row were no better than epoch %d",
                done.epoch,
                done.epochs_since_best,
                done.best_epoch,
            )
            break
        batches = sampler.epoch(epoch)
        set_encoder_trainable(model, epoch=epoch)
        start, words = time.perf_counter(), 0
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=model.device))
        counts: dict[str, int] = defaultdict(int)
        model.train()
        bar = tqdm(
            total=sum(_words(instance) for batch in batches for instance in batch),
            desc=f"epoch {epoch}/{training.num_epochs}",
            unit=" words",
            unit_scale=True,
            disable=not show_bar,
            leave=False,
        )
        for group in _groups(batches, training.accumulation_steps):
            set_rates(optimizer, step=done.step, steps=steps, scheduler=training.learning_rate_scheduler)
            group_batches = [model.batch(instances, only_annotated=True) for instances in group]
            group_losses = train_together(model, group_batches, optimizer)
            for losses in group_losses:
                for task, loss in losses.items():
                    sums[task] += loss
                    counts[task] += 1
            done.step += 1
            if done.step % STEPS_BETWEEN_LOOKS.get(model.device.type, 1) == 0:
                for losses, batch in zip(group_losses, group_batches, strict=True):
                    _look(losses, batch, bar)
            group_words = sum(_words(instance) for instances in group for instance in instances)
            words += group_words
            bar.update(group_words)
        bar.close()
        seconds = time.perf_counter() - start
        keepers = {name: evaluate(model, name, instances) for name, instances in dev.items()}
        scores = {name: keeper.scores() for name, keeper in keepers.items()}
        label_scores = {name: keeper.label_scores_as_json() for name, keeper in keepers.items()}
        total = sum_of_main_metrics(scores, model.config.tasks())
        weights = model.task_weights.weights()
        losses_of_epoch = {task: sums[task].item() / counts[task] for task in sums}
        done.metrics.append(
            {
                "epoch": epoch,
                "seconds": round(seconds, 2),
                "words_per_second": round(words / seconds, 1),
                "train": losses_of_epoch,
                "total_loss": sum(weights[task] * loss for task, loss in losses_of_epoch.items()),
                "task_weights": weights,
                "dev": scores,
                "labels": label_scores,
            }
        )
        model.task_weights.end_epoch(losses_of_epoch)
        is_best = done.finish_epoch(total if dev else None, keep=training.keep_top_n)
        for line in epoch_lines(done.metrics[-1], is_best=is_best and bool(dev)):
            logger.info("%s", line)
        after_epoch(done)


def train_step(model: Model, batch: Batch, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """One update by one batch: forward, weighted sum of losses, backward, clipped gradients. Returns the losses."""
    return train_together(model, [batch], optimizer)[0]


def train_together(
    model: Model, batches: Sequence[Batch], optimizer: torch.optim.Optimizer
) -> list[dict[str, Tensor]]:
    """One update by the mean of the batches' total losses. Returns the unweighted losses of each batch."""
    optimizer.zero_grad(set_to_none=True)
    every_loss = []
    for batch in batches:
        with autocast(model):
            losses = model.losses(batch, model(batch))
        total = model.total_loss(losses)
        if total is not None and total.requires_grad:
            # One after another: only gradients are kept, so that memory is that of one batch.
            (total / len(batches)).backward()
        every_loss.append({task: loss.detach() for task, loss in losses.items()})
    grad_norm = model.config.params.training.grad_norm
    if grad_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), grad_norm)
    # Without gradients, as in a batch of tasks that are switched off, this changes nothing.
    optimizer.step()
    return every_loss


def _groups(batches: Sequence[list[Instance]], size: int) -> list[Sequence[list[Instance]]]:
    """The batches of each update; the last one of an epoch may have fewer."""
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def _look(losses: Mapping[str, Tensor], batch: Batch, bar: Any) -> None:
    """Shows the losses and stops if one is no finite number."""
    values = {task: loss.item() for task, loss in losses.items()}
    bad = [task for task, value in values.items() if not np.isfinite(value)]
    if bad:
        sources = ", ".join(instance.source for instance in batch.instances[:5])
        raise TrainingError(
            f"the loss of {', '.join(bad)} is {values[bad[0]]} in the batch with {sources}; expected a finite number: "
            "try a lower training.optimizer.lr"
        )
    bar.set_postfix_str(f"loss {sum(values.values()):.3f}", refresh=False)


def _words(instance: Instance) -> int:
    """Words of a sentence; texts of a TSV are counted by their spaces."""
    if len(instance.pieces.word_ends):
        return len(instance.words)
    return sum(len(text.split()) for text in instance.words)
