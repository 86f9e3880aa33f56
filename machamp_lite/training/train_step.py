"""One update of the weights: forward and backward passes over micro-batches, clipping, the optimizer's step.

A batch is shared by all processes, and each process may split its share into micro-batches. Losses are divided by the
counts of the whole batch, so that the gradients are those of one process with enough memory for the whole batch.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from machamp_lite.dataloading.batch_sampler import split_batch
from machamp_lite.dataloading.example import Example
from machamp_lite.errors import LostProcessError, TrainingError
from machamp_lite.inference.engine import autocast
from machamp_lite.model.multitask_model import LossCounts, Model
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchLosses:
    """The mean loss of each task over a batch, and their weighted total, which is minimised; None without any task."""

    tasks: Mapping[str, Tensor]
    total: Tensor | None


@dataclass(frozen=True, slots=True)
class RandomState:
    """The states of torch's random generators, from which a forward pass can be repeated."""

    cpu: Tensor
    gpu: Tensor | None
    device: torch.device

    @classmethod
    def now(cls, device: torch.device) -> "RandomState":
        """The current states on the CPU and, if it is a GPU, on the device."""
        gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), gpu, device)

    @contextlib.contextmanager
    def replayed(self) -> Iterator[None]:
        """Draws the same random numbers as after ``now``; afterwards, the generators continue where they were."""
        with torch.random.fork_rng(devices=[] if self.gpu is None else [self.device]):
            torch.set_rng_state(self.cpu)
            if self.gpu is not None:
                torch.cuda.set_rng_state(self.gpu, self.device)
            yield


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The examples of one forward pass in one process: a part of batch number ``batch``, possibly empty.

    ``counts`` are the loss counts of the whole batch, and ``scale`` is the number of its parts in all processes.
    ``seed`` is the same for all parts.
    """

    batch: int
    examples: list[Example]
    counts: LossCounts
    scale: int
    seed: int


class WeightedLoss(nn.Module):
    """The forward pass from a micro-batch to the loss, as the one module that ``DistributedDataParallel`` wraps."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        # DistributedDataParallel needs a gradient in every process, even for an empty micro-batch. It warns if all
        # parameters are used, although in most batches some are not.
        self.used = nn.Parameter(torch.zeros((), device=model.device))
        self.unused = nn.Parameter(torch.zeros((), device=model.device))

    def forward(self, micro_batch: MicroBatch | None) -> tuple[Tensor, Tensor]:
        """The weighted total and the loss of each task, whose means over all micro-batches are those of the batch.

        Without a micro-batch they are 0. *Shape:* -> (), (T,) for the T tasks of ``counts``.
        """
        model, zero = self.model, self.used * 0.0
        if micro_batch is None:
            return zero, zero.detach()
        losses = dict.fromkeys(micro_batch.counts, zero) | losses_of_part(model, micro_batch)
        losses = {task: loss * micro_batch.scale for task, loss in losses.items()}
        # Random task weights are drawn once per batch, not once per micro-batch.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(micro_batch.seed)
            total = model.total_loss(losses)
        assert total is not None, "loss_counts has only tasks with a weight"
        return total + zero, torch.stack([loss.detach().float() for loss in losses.values()])


def losses_of_part(model: Model, micro_batch: MicroBatch) -> dict[str, Tensor]:
    """What a micro-batch adds to the losses of its batch, for the tasks that it has. *Shape:* -> () each."""
    if not micro_batch.examples:
        return {}
    batch = model.batch(micro_batch.examples, only_annotated=True)
    with autocast(model):
        return model.losses(batch, model(batch), micro_batch.counts)


def train_step(
    model: Model,
    batches: Sequence[Sequence[Example]],
    optimizer: torch.optim.Optimizer,
    *,
    step: int = 0,
    loss_module: nn.Module | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> list[BatchLosses]:
    """One update by the mean of the batches' total losses. Returns the losses of each batch.

    Several processes get the same batches, and ``processes.data_parallel(WeightedLoss(model))`` as ``loss_module``.
    ``step`` seeds random task weights. Batches that do not fit the memory of a GPU are split into micro-batches in all
    processes. Raises ``TrainingError`` if single sentences do not fit.
    """
    loss_module = WeightedLoss(model) if loss_module is None else loss_module
    num_micro_batches, losses = 1, None
    random_state = RandomState.now(model.device) if model.task_weights.uses_updates else None
    while losses is None:
        optimizer.zero_grad(set_to_none=True)
        work = micro_batches(
            model, batches, num_micro_batches=num_micro_batches, step=step, processes=processes
        )
        if random_state is not None and len(work) * processes.world_size > 1:
            # The weights depend on the losses of the whole update, which no single forward pass has.
            with random_state.replayed():
                before = _losses_without_gradients(model, work, num_batches=len(batches), processes=processes)
            model.task_weights.start_update(_means(before))
        losses = _compute_gradients(loss_module, work, num_batches=len(batches), processes=processes)
        if losses is None:
            num_micro_batches *= 2
            shares = [share for batch in batches for share in split_batch(batch, processes.world_size)]
            _report_memory(shares, num_micro_batches)
    grad_norm = model.config.params.training.grad_norm
    if grad_norm is not None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, grad_norm)
    # Without gradients, as for a batch of tasks that are switched off, this changes nothing.
    optimizer.step()
    if random_state is not None:
        # With the same dropout, so that only the update changes the losses.
        with random_state.replayed():
            after = _losses_without_gradients(model, work, num_batches=len(batches), processes=processes)
        model.task_weights.end_update(_means(losses), _means(after))
    return losses


def micro_batches(
    model: Model,
    batches: Sequence[Sequence[Example]],
    *,
    num_micro_batches: int,
    step: int,
    processes: Processes,
) -> list[MicroBatch]:
    """This process's micro-batches of some batches; all processes have the same number of them."""
    found = []
    for number, batch in enumerate(batches):
        counts = model.loss_counts(batch)
        seeds = np.random.SeedSequence([model.config.params.random_seed, step, number])
        if counts:
            found += [
                MicroBatch(
                    number,
                    examples,
                    counts,
                    scale=processes.world_size * num_micro_batches,
                    seed=int(seeds.generate_state(1, np.uint64)[0]) >> 1,
                )
                for examples in split_batch(split_batch(batch, processes.world_size)[processes.rank], num_micro_batches)
            ]
    return found


def _compute_gradients(
    loss_module: nn.Module, work: Sequence[MicroBatch], *, num_batches: int, processes: Processes
) -> list[BatchLosses] | None:
    """Adds up the gradients of all micro-batches; returns the losses of the batches, or None without enough memory.

    The gradients of all processes are averaged in the last backward pass, which either all processes run or none.
    """
    values: dict[int, list[Tensor]] = {micro_batch.batch: [] for micro_batch in work}

    def forward(micro_batch: MicroBatch) -> Tensor:
        total, losses = loss_module(micro_batch)
        values[micro_batch.batch].append(torch.cat([losses, total.detach().float().unsqueeze(0)]))
        parts_of_batch = micro_batch.scale // processes.world_size
        return total / (parts_of_batch * num_batches)

    if not work:
        return [BatchLosses({}, None)] * num_batches
    last_total = None
    try:
        with loss_module.no_sync() if isinstance(loss_module, DistributedDataParallel) else contextlib.nullcontext():
            for micro_batch in work[:-1]:
                forward(micro_batch).backward()
        last_total = forward(work[-1])
    except torch.OutOfMemoryError:
        pass
    (out_of_memory,) = processes.any_rank(last_total is None)
    if out_of_memory and processes.world_size > 1:
        # In processes whose forward pass has succeeded, DistributedDataParallel requires a backward pass.
        last_total = None
        _backward(loss_module(None)[0], processes)
    if out_of_memory or last_total is None or not _backward(last_total, processes):
        return None
    return _losses_of_batches(values, work, num_batches=num_batches, processes=processes)


def _losses_without_gradients(
    model: Model, work: Sequence[MicroBatch], *, num_batches: int, processes: Processes
) -> list[BatchLosses]:
    """The losses of the batches with the current weights of the model."""
    values: dict[int, list[Tensor]] = {micro_batch.batch: [] for micro_batch in work}
    if not work:
        return [BatchLosses({}, None)] * num_batches
    loss_module = WeightedLoss(model)
    with torch.no_grad():
        for micro_batch in work:
            total, losses = loss_module(micro_batch)
            values[micro_batch.batch].append(torch.cat([losses, total.float().unsqueeze(0)]))
    return _losses_of_batches(values, work, num_batches=num_batches, processes=processes)


def _means(losses: Sequence[BatchLosses]) -> dict[str, Tensor]:
    """The mean loss of each task over the batches that have it."""
    by_task: dict[str, list[Tensor]] = {}
    for batch in losses:
        for task, loss in batch.tasks.items():
            by_task.setdefault(task, []).append(loss)
    return {task: torch.stack(values).mean() for task, values in by_task.items()}


def _backward(total: Tensor, processes: Processes) -> bool:
    """A backward pass in which the processes exchange gradients; returns whether there was enough memory."""
    try:
        with processes.reporting_lost_processes():
            total.backward()
    except torch.OutOfMemoryError:
        if processes.world_size > 1:
            # The others are waiting for gradients and cannot repeat the step.
            raise LostProcessError(
                f"process {processes.rank} of {processes.world_size}: a backward pass does not fit the memory of the "
                "GPU; expected a lower batching.max_tokens"
            ) from None
        return False
    return True


def _losses_of_batches(
    values: Mapping[int, Sequence[Tensor]], work: Sequence[MicroBatch], *, num_batches: int, processes: Processes
) -> list[BatchLosses]:
    """The losses and totals of whole batches, from those of the micro-batches of all processes."""
    losses = [BatchLosses({}, None)] * num_batches
    tasks = {micro_batch.batch: list(micro_batch.counts) for micro_batch in work}
    means = [torch.stack(list(values[batch])).mean(0) for batch in tasks]
    reduced = processes.all_reduce(torch.cat(means)) / processes.world_size
    for batch, mean in zip(tasks, reduced.split([len(mean) for mean in means]), strict=True):
        *of_tasks, total = mean.unbind()
        losses[batch] = BatchLosses(dict(zip(tasks[batch], of_tasks, strict=True)), total)
    return losses


def _report_memory(batches: Sequence[Sequence[Example]], num_micro_batches: int) -> None:
    """Logs that batches are split; raises ``TrainingError`` if they were already split into single sentences."""
    largest = max(batches, key=_subwords_of)
    size = f"{len(largest)} sentences and {_subwords_of(largest)} subwords"
    if num_micro_batches >= 2 * max(map(len, batches)):
        raise TrainingError(
            f"{largest[0].source}: a batch of {size} does not fit the memory of the GPU even sentence by "
            "sentence; expected a lower encoder.max_input_length or a smaller encoder"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    logger.warning(
        "%s: a batch of %s does not fit the memory of the GPU: it is split into %d micro-batches; a lower "
        "batching.max_tokens avoids the failed attempts",
        largest[0].source,
        size,
        num_micro_batches,
    )


def _subwords_of(examples: Sequence[Example]) -> int:
    return sum(len(example.segments.subword_ids) for example in examples)
