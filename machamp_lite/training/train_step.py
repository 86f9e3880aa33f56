"""One update: forward, weighted sum of losses, backward, clipped gradients; alone or shared with other processes."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from machamp_lite.dataloading.batch import Batch
from machamp_lite.dataloading.batch_sampler import split_batch
from machamp_lite.dataloading.example import Example
from machamp_lite.errors import TrainingError
from machamp_lite.inference.engine import autocast
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.shared_steps import (
    add_up_gradients,
    fork_rng,
    losses_of,
    means_and_sizes,
    sums_of,
    tasks_of,
)

logger = logging.getLogger(__name__)


class BatchLosses(dict[str, Tensor]):
    """The losses of a batch by task, not weighted; ``total`` is what was minimised, None if no task has a weight."""

    total: Tensor | None = None


def train_step(model: Model, batch: Batch, optimizer: torch.optim.Optimizer) -> BatchLosses:
    """One update by one batch. Returns the losses."""
    return train_together(model, [batch], optimizer)[0]


def train_together(
    model: Model, batches: Sequence[Batch], optimizer: torch.optim.Optimizer
) -> list[BatchLosses]:
    """One update by the mean of the batches' total losses. Returns the losses of each batch.

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
            _tell_of_memory([batch.examples for batch in batches], number)
    _update(model, optimizer)
    return losses


def train_shared(
    model: Model,
    batches: Sequence[Sequence[Example]],
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    processes: Processes,
) -> list[BatchLosses]:
    """The same of several processes, each of which learns from a part of each batch. Returns the losses of all.

    What does not fit on one of them is learnt from in smaller parts on all.
    """
    seed, number, fits = model.config.params.random_seed, 1, False
    while not fits:
        optimizer.zero_grad(set_to_none=True)
        every_loss, fits = [], True
        for place, whole in enumerate(batches):
            own = split_batch(whole, processes.count)[processes.rank]
            losses, own_fits = _learn_in_parts(
                model,
                own,
                tasks_of(model, whole),
                share=1 / len(batches),
                number=number,
                draws=(seed, step, place),
                processes=processes,
            )
            fits = fits and own_fits
            every_loss.append(losses)
        fits = add_up_gradients(model, processes, are_whole=fits)
        if not fits:
            number *= 2
            _tell_of_memory([part for whole in batches for part in split_batch(whole, processes.count)], number)
    _update(model, optimizer)
    return every_loss


def _learn(model: Model, batch: Batch, *, share: float, number: int) -> BatchLosses:
    """Adds the gradients of a batch, in so many parts; raises ``OutOfMemoryError`` if one does not fit."""
    if number > 1:
        in_parts, fits = _learn_in_parts(
            model,
            batch.examples,
            tasks_of(model, batch.examples),
            share=share,
            number=number,
            draws=(int(torch.randint(2**62, ())),),
            processes=SINGLE_PROCESS,
        )
        if not fits:
            raise torch.OutOfMemoryError
        return in_parts
    with autocast(model):
        losses = model.losses(batch, model(batch))
    return _backward(model, losses, share=share)


def _learn_in_parts(
    model: Model,
    examples: Sequence[Example],
    tasks: Sequence[str],
    *,
    share: float,
    number: int,
    draws: tuple[int, ...],
    processes: Processes,
) -> tuple[BatchLosses, bool]:
    """Adds the gradients of what one process has of a batch, so that only one part at a time takes memory.

    Returns the losses of the whole batch, and whether all parts did fit: where they do not, the process still says to
    the others what they wait for.
    """
    if not tasks:
        return BatchLosses(), True
    own = [model.batch(part, only_annotated=True) for part in split_batch(examples, number) if part]
    found, whole, fits = [], BatchLosses(), True
    try:
        # What the means of the whole batch are over has to be known before the first part's gradients.
        with torch.set_grad_enabled(number == 1), autocast(model):
            found = [means_and_sizes(model, part, tasks) for part in own]
    except torch.OutOfMemoryError:
        own, found, fits = [], [], False
    found = found or [means_and_sizes(model, None, tasks)]
    sums = sums_of(found)
    processes.add_up(sums)
    try:
        for place, part in enumerate(own or [None]):
            # Weights of tasks see the losses of the whole batch: their gradient is whole with the first part.
            model.task_weights.requires_grad_(not place)
            with autocast(model):
                is_new = number > 1 and part is not None
                means, sizes = means_and_sizes(model, part, tasks) if is_new else found[0]
                losses = losses_of(model, tasks, means=means, sizes=sizes, sums=sums)
            with fork_rng(*draws):
                whole = _backward(model, losses, share=share)
    except torch.OutOfMemoryError:
        fits = False
    finally:
        model.task_weights.requires_grad_(True)
    return whole, fits


def _backward(model: Model, losses: dict[str, Tensor], *, share: float) -> BatchLosses:
    total = model.total_loss(losses)
    if total is not None and total.requires_grad:
        (total * share).backward()
    detached = BatchLosses((task, loss.detach()) for task, loss in losses.items())
    detached.total = None if total is None else total.detach()
    return detached


def _update(model: Model, optimizer: torch.optim.Optimizer) -> None:
    """One step with clipped gradients."""
    grad_norm = model.config.params.training.grad_norm
    if grad_norm is not None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, grad_norm)
    # Without gradients, as in a batch of tasks that are switched off, this changes nothing.
    optimizer.step()


def _tell_of_memory(batches: Sequence[Sequence[Example]], number: int) -> None:
    """Says that batches are learnt from in parts; raises ``TrainingError`` where they were single sentences."""
    largest = max(batches, key=_subwords_of)
    size = f"{len(largest)} sentences and {_subwords_of(largest)} subwords"
    if number >= 2 * max(map(len, batches)):
        raise TrainingError(
            f"{largest[0].source}: a batch of {size} does not fit the memory of the GPU even sentence by "
            "sentence; expected a lower encoder.max_input_length or a smaller encoder"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    logger.warning(
        "%s: a batch of %s does not fit the memory of the GPU: it is learnt from in %d parts; a lower "
        "batching.max_tokens saves the time of finding out",
        largest[0].source,
        size,
        number,
    )


def _subwords_of(examples: Sequence[Example]) -> int:
    """The subwords of a batch."""
    return sum(len(example.segments.subword_ids) for example in examples)
