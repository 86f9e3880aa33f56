"""One update: forward, weighted sum of losses, backward, clipped gradients; alone or shared with other processes."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from machamp_lite.batching.batch import Batch
from machamp_lite.batching.instances import Instance
from machamp_lite.batching.sampler import parts
from machamp_lite.errors import TrainingError
from machamp_lite.evaluation import autocast
from machamp_lite.model import Model
from machamp_lite.training.distributed import Processes
from machamp_lite.training.optimization import clip_in_step
from machamp_lite.training.shared_steps import (
    add_up_gradients,
    losses_of_all,
    losses_of_part,
    same_draws,
    sums_of_part,
    tasks_of,
)

logger = logging.getLogger(__name__)


def train_step(model: Model, batch: Batch, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """One update by one batch. Returns the losses."""
    return train_together(model, [batch], optimizer)[0]


def train_together(
    model: Model, batches: Sequence[Batch], optimizer: torch.optim.Optimizer
) -> list[dict[str, Tensor]]:
    """One update by the mean of the batches' total losses. Returns the unweighted losses of each batch.

    Batches that do not fit the memory of a GPU are learnt from part by part, with the same gradients. Raises
    ``TrainingError`` if single sentences do not fit.
    """
    number, losses = 1, None
    while losses is None:
        optimizer.zero_grad(set_to_none=True)
        try:
            losses = [_learn(model, batch, share=1 / len(batches), number=number) for batch in batches]
        except torch.OutOfMemoryError:
            # Gradients of a part of them may be there already: all is done again, once what did not fit is let go.
            number *= 2
        if losses is None:
            _tell_of_memory(batches, number)
    _update(model, optimizer)
    return losses


def train_shared(
    model: Model,
    batches: Sequence[Sequence[Instance]],
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    processes: Processes,
) -> list[dict[str, Tensor]]:
    """The same of several processes, each of which learns from a part of each batch. Returns the losses of all."""
    optimizer.zero_grad(set_to_none=True)
    every_loss = []
    for number, whole in enumerate(batches):
        part = parts(whole, processes.count)[processes.rank]
        batch = model.batch(part, only_annotated=True) if part else None
        with autocast(model):
            losses = losses_of_all(model, batch, tasks_of(model, whole), processes)
        with same_draws(model.config.params.random_seed, step, number):
            _backward(model, losses, share=1 / len(batches))
        every_loss.append({task: loss.detach() for task, loss in losses.items()})
    add_up_gradients(model, processes)
    _update(model, optimizer)
    return every_loss


def _learn(model: Model, batch: Batch, *, share: float, number: int) -> dict[str, Tensor]:
    """Adds the gradients of a batch, in so many parts; only they are kept, so that memory is that of one part."""
    if number == 1:
        with autocast(model):
            losses = model.losses(batch, model(batch))
        _backward(model, losses, share=share)
        return {task: loss.detach() for task, loss in losses.items()}
    tasks = tasks_of(model, batch.instances)
    batches = [model.batch(part, only_annotated=True) for part in parts(batch.instances, number) if part]
    # What the means of the whole batch are over has to be known before the first part's gradients.
    with torch.no_grad(), autocast(model):
        sums = torch.stack([sums_of_part(model, part, tasks) for part in batches]).sum(0)
    draw = int(torch.randint(2**62, ()))
    for place, part in enumerate(batches):
        # Weights of tasks see the losses of the whole batch: their gradient is whole with the first part.
        model.task_weights.requires_grad_(not place)
        with autocast(model):
            losses = losses_of_part(model, part, tasks, sums)
        with same_draws(draw):
            _backward(model, losses, share=share)
    model.task_weights.requires_grad_(True)
    return {task: loss.detach() for task, loss in losses.items()}


def _backward(model: Model, losses: dict[str, Tensor], *, share: float) -> None:
    total = model.total_loss(losses)
    if total is not None and total.requires_grad:
        (total * share).backward()


def _update(model: Model, optimizer: torch.optim.Optimizer) -> None:
    """One step with clipped gradients."""
    grad_norm = model.config.params.training.grad_norm
    if grad_norm is not None:
        clip_in_step(optimizer, grad_norm)
    # Without gradients, as in a batch of tasks that are switched off, this changes nothing.
    optimizer.step()


def _tell_of_memory(batches: Sequence[Batch], number: int) -> None:
    """Says that batches are learnt from in parts; raises ``TrainingError`` where they were single sentences."""
    largest = max(batches, key=lambda batch: len(batch.subword_ids))
    size = f"{len(largest.instances)} sentences and {len(largest.subword_ids)} subwords"
    if number >= 2 * max(len(batch.instances) for batch in batches):
        raise TrainingError(
            f"{largest.instances[0].source}: a batch of {size} does not fit the memory of the GPU even sentence by "
            "sentence; expected a lower encoder.max_input_length or a smaller encoder"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    logger.warning(
        "%s: a batch of %s does not fit the memory of the GPU: it is learnt from in %d parts; a lower "
        "batching.max_tokens saves the time of finding out",
        largest.instances[0].source,
        size,
        number,
    )
