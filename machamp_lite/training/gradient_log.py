"""The gradients of single tasks on the shared encoder: their norms, and whether tasks pull in the same direction.

A negative cosine means that a step for one task raises the loss of the other (conflicting gradients, Yu et al. 2020).
"""

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from machamp_lite.dataloading.example import Example
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.train_step import MicroBatch, RandomState, losses_of_part, micro_batches

logger = logging.getLogger(__name__)

# By task: the norm of its gradient under its own name, and its cosine with the gradient of each later task.
Similarities = dict[str, dict[str, float]]


def task_gradients(
    model: Model,
    batches: Sequence[Sequence[Example]],
    *,
    step: int = 0,
    processes: Processes = SINGLE_PROCESS,
) -> Similarities:
    """Compares the gradients of the tasks' mean losses, before their task weights; changes nothing in the model.

    Empty if the encoder is frozen, or if a GPU does not have the memory for one gradient of the encoder per task.
    """
    parameters = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
    work = micro_batches(model, batches, num_micro_batches=1, step=step, processes=processes)
    tasks = list(dict.fromkeys(task for micro_batch in work for task in micro_batch.counts))
    if not parameters or not tasks:
        return {}
    gradients = None
    try:
        # Training continues with the random numbers that it would have without this.
        with RandomState.now(model.device).replayed():
            gradients = torch.stack([*_gradients(model, work, tasks, parameters).values()]) / len(batches)
    except torch.OutOfMemoryError:
        pass
    if processes.any_rank(gradients is None)[0] or gradients is None:
        logger.warning(
            "training.log_gradients: the gradients of %d tasks do not fit the memory of the GPU, so that they are not "
            "compared; a lower batching.max_tokens may help",
            len(tasks),
        )
        return {}
    return _similarities(tasks, processes.all_reduce(gradients))


def _gradients(
    model: Model, work: Sequence[MicroBatch], tasks: Sequence[str], parameters: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The gradient of each task in this process, summed over its parts of the batches. *Shape:* -> (parameters,)."""
    zeros = torch.zeros(sum(parameter.numel() for parameter in parameters), device=model.device)
    found = dict.fromkeys(tasks, zeros)
    for micro_batch in work:
        losses = losses_of_part(model, micro_batch)
        for number, (task, loss) in enumerate(losses.items(), start=1):
            parts = torch.autograd.grad(loss, parameters, retain_graph=number < len(losses), materialize_grads=True)
            found[task] = found[task] + torch.cat([part.float().reshape(-1) for part in parts])
    return found


def _similarities(tasks: Sequence[str], gradients: Tensor) -> Similarities:
    """*Shape:* gradients (T, parameters)."""
    norms = gradients.norm(dim=1)
    units = gradients / norms.clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(1)
    cosines = (units @ units.T).tolist()
    return {
        task: {task: norm, **dict(zip(tasks[row + 1 :], cosines[row][row + 1 :], strict=True))}
        for row, (task, norm) in enumerate(zip(tasks, norms.tolist(), strict=True))
    }


def means_of(sums: Mapping[str, Mapping[str, Sequence[float]]]) -> Similarities:
    """The means of several comparisons, from pairs of a sum and a number."""
    return {task: {other: total / number for other, (total, number) in own.items()} for task, own in sums.items()}
