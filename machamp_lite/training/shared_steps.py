"""A step in parts, of several processes or one after another: together it is the step of one with the whole batch."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from machamp_lite.dataloading.batch import Batch
from machamp_lite.dataloading.example import Example
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.distributed import Processes

# Numbers of gradients that are added up together: many for few messages, few for little memory.
BUCKET = 2**23


def tasks_of(model: Model, examples: Sequence[Example]) -> list[str]:
    """The tasks that instances have labels of and that are not switched off, in the order of the model."""
    found = {task for example in examples for task in example.gold} & model.task_weights.numbers.keys()
    return [task for task in model.tasks if task in found]


def means_and_sizes(model: Model, batch: Batch | None, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The means that the losses of some tasks are made of, and what each is over. *Shape:* (M,), (M,).

    Both are 0 where a batch has no items of a task, or where there is no batch.
    """
    found = {} if batch is None else model.loss_parts(batch, model(batch))
    nothing = (torch.zeros((), device=model.device), 0)
    own = [part for task in tasks for part in found.get(task, [nothing] * model.decoder(task).loss_means)]
    if not own:
        return torch.zeros(0, device=model.device), torch.zeros(0, device=model.device)
    sizes = torch.stack([_scalar(size, model.device) for _, size in own])
    means = torch.stack([mean.float() for mean, _ in own])
    # A mean over nothing is no number.
    return torch.where(sizes > 0, means, 0.0), sizes


def _scalar(value: Tensor | int, device: torch.device) -> Tensor:
    # Filled and not copied, for which a GPU would be waited.
    return value.float() if isinstance(value, Tensor) else torch.full((), float(value), device=device)


def sums_of(found: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """What ``means_and_sizes`` of all parts are over, and the sums over it. *Shape:* -> (2, M)."""
    return torch.stack([torch.stack([sizes, sizes * means.detach()]) for means, sizes in found]).sum(0)


def losses_of(
    model: Model, tasks: Sequence[str], *, means: Tensor, sizes: Tensor, sums: Tensor
) -> dict[str, Tensor]:
    """The losses of a whole batch, of whose parts ``sums`` are the sums, with the gradient of one part.

    A loss is a mean over the items of all parts, so that the sum of the gradients of all parts is that of the whole.
    *Shape:* (M,), (M,), (2, M).
    """
    all_sizes = sums[0].clamp_min(torch.finfo(sums.dtype).tiny)
    shares = means * (sizes / all_sizes)
    losses = shares - shares.detach() + sums[1] / all_sizes
    counts = [model.decoder(task).loss_means for task in tasks]
    return {task: part.sum() for task, part in zip(tasks, losses.split(counts), strict=True)}


def add_up_gradients(model: Model, processes: Processes, *, are_whole: bool) -> bool:
    """Gives every process the sum of all gradients; what has none on any process keeps none.

    Returns whether they are whole on all processes: where they are not, nothing is added up.
    """
    if not processes.is_main_process:
        # Weights of tasks see the losses of all: their gradient is whole on every process, and counts once.
        for parameter in model.task_weights.parameters():
            parameter.grad = None
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    is_part, *has_gradient = processes.any_of(
        not are_whole, *(parameter.grad is not None for parameter in parameters)
    )
    if is_part:
        return False
    learning = [parameter for parameter, has in zip(parameters, has_gradient, strict=True) if has]
    for bucket in _buckets(learning):
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in bucket
        ]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        processes.add_up(flat)
        lengths = [parameter.numel() for parameter in bucket]
        for parameter, gradient in zip(bucket, flat.split(lengths), strict=True):
            parameter.grad = gradient.view_as(parameter)
    return True


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Parameters in groups, whose gradients are told at once and lie twice in memory meanwhile."""
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        bucket.append(parameter)
        if sum(each.numel() for each in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


@contextlib.contextmanager
def fork_rng(*numbers: int) -> Iterator[None]:
    """What torch draws on the CPU is a function of these numbers; after it, its generator is as it was."""
    state = torch.get_rng_state()
    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    torch.default_generator.manual_seed(int(seed) >> 1)
    try:
        yield
    finally:
        torch.set_rng_state(state)
