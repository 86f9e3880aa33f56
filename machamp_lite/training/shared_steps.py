"""A step of several processes, each with a part of the batch: together it is the step of one with the whole batch."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from machamp_lite.batching.batch import Batch
from machamp_lite.batching.instances import Instance
from machamp_lite.model import Model
from machamp_lite.training.distributed import Processes


def tasks_of(model: Model, instances: Sequence[Instance]) -> list[str]:
    """The tasks that instances have labels of, in the order of the model."""
    found = {task for instance in instances for task in instance.gold}
    return [task for task in model.tasks if task in found]


def losses_of_all(
    model: Model, batch: Batch | None, tasks: Sequence[str], processes: Processes
) -> dict[str, Tensor]:
    """The losses of a batch of which each process has a part, or none.

    ``tasks`` are those of the whole batch. A loss is a mean over the items of all processes; its gradient is that of
    this process's items, so that the sum of the processes' gradients is that of the whole.
    """
    found = {} if batch is None else model.loss_parts(batch, model(batch))
    counts = [model.decoder(task).loss_means for task in tasks]
    if not tasks:
        return {}
    nothing = (torch.zeros((), device=model.device), 0)
    own = [
        part for task, count in zip(tasks, counts, strict=True) for part in found.get(task, [nothing] * count)
    ]
    sizes = torch.stack([torch.as_tensor(size, device=model.device).float() for _, size in own])
    means = torch.stack([mean.float() for mean, _ in own])
    # A mean over nothing is no number.
    means = torch.where(sizes > 0, means, 0.0)
    sums = torch.stack([sizes, sizes * means.detach()])
    processes.add_up(sums)
    all_sizes = sums[0].clamp_min(torch.finfo(sums.dtype).tiny)
    shares = means * (sizes / all_sizes)
    losses = shares - shares.detach() + sums[1] / all_sizes
    return {task: part.sum() for task, part in zip(tasks, losses.split(counts), strict=True)}


def add_up_gradients(model: Model, processes: Processes) -> None:
    """Gives every process the sum of all gradients; what has none on any process keeps none."""
    if not processes.is_first:
        # Weights of tasks see the losses of all: their gradient is whole on every process, and counts once.
        for parameter in model.task_weights.parameters():
            parameter.grad = None
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    has_gradient = processes.any_of(*(parameter.grad is not None for parameter in parameters))
    learning = [parameter for parameter, has in zip(parameters, has_gradient, strict=True) if has]
    if not learning:
        return
    gradients = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in learning
    ]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    processes.add_up(flat)
    lengths = [parameter.numel() for parameter in learning]
    for parameter, gradient in zip(learning, flat.split(lengths), strict=True):
        parameter.grad = gradient.view_as(parameter)


@contextlib.contextmanager
def same_draws(*numbers: int) -> Iterator[None]:
    """What torch draws on the CPU is a function of these numbers; after it, its generator is as it was."""
    state = torch.get_rng_state()
    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    torch.default_generator.manual_seed(int(seed) >> 1)
    try:
        yield
    finally:
        torch.set_rng_state(state)
