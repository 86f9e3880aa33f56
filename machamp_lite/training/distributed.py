"""The processes of a run, which ``torchrun`` starts, and the communication between them.

Tensors are sent over gloo on CPUs and over nccl on GPUs. Objects are sent as JSON over gloo, never pickled.
"""

import contextlib
import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from machamp_lite.errors import (
    ConfigError,
    DataError,
    LostProcessError,
    MachampError,
    StoppedError,
    first_line,
)

# How long a process waits for the others within a step. A process that has died is detected at once.
STEP_TIMEOUT = timedelta(minutes=10)
# How long a process waits while another one reads, scores, predicts or saves.
OBJECT_TIMEOUT = timedelta(days=7)
MAX_WORLD_SIZE = 10**6
# Torch before 2.13 has the option under another name, which is deprecated.
_OPTIONS = inspect.signature(DistributedDataParallel.__init__).parameters
_SYNC_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _OPTIONS else "broadcast_buffers"
_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process and the others of its run; by default there are no others.

    All processes have to call the same methods in the same order. The methods raise ``LostProcessError`` if another
    process has ended.
    """

    rank: int = 0
    world_size: int = 1
    object_group: Any = None

    @property
    def launcher(self) -> str:
        """The program that starts several processes again, for a command in a message; empty for one process."""
        if self.world_size == 1:
            return ""
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "").strip() or self.world_size)
        return f"torchrun --nproc_per_node={local}" if local == self.world_size else "torchrun ..."

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes and scores."""
        return self.rank == 0

    def data_parallel(self, module: nn.Module) -> nn.Module:
        """The module, with gradients averaged over all processes; it starts with the weights of the main process."""
        if self.world_size == 1:
            return module
        with self.reporting_lost_processes():
            return DistributedDataParallel(
                module,
                # A batch has labels of some tasks only.
                find_unused_parameters=True,
                gradient_as_bucket_view=True,
                **{_SYNC_BUFFERS: False},  # type: ignore[arg-type]
            )

    def all_reduce(self, tensor: Tensor, op: distributed.ReduceOp.RedOpType = distributed.ReduceOp.SUM) -> Tensor:
        """The sum (or another reduction) over all processes; the tensor itself is changed."""
        if self.world_size > 1:
            with self.reporting_lost_processes():
                distributed.all_reduce(tensor, op)
        return tensor

    def any_rank(self, *flags: bool) -> list[bool]:
        """Which flags are set in at least one process."""
        reduced = self.all_reduce(torch.tensor(flags, dtype=torch.uint8), distributed.ReduceOp.MAX)
        return [bool(flag) for flag in reduced.tolist()]

    def broadcast_object(self, value: T) -> T:
        """The value of the main process; it must be serializable as JSON."""
        values: list[Any] = self.all_gather_object(value if self.is_main_process else None)
        return values[0]

    def all_gather_object(self, value: T) -> list[T]:
        """The values of all processes, by rank; they must be serializable as JSON."""
        if self.world_size == 1:
            return [value]
        content = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        with self.reporting_lost_processes():
            lengths = [torch.tensor(0) for _ in range(self.world_size)]
            distributed.all_gather(lengths, torch.tensor(len(content)), group=self.object_group)
            longest = max(map(int, lengths))
            contents = [torch.empty(longest, dtype=torch.uint8) for _ in lengths]
            padded = nn.functional.pad(content, (0, longest - len(content)))
            distributed.all_gather(contents, padded, group=self.object_group)
        return [
            json.loads(content[:length].numpy().tobytes())
            for content, length in zip(contents, map(int, lengths), strict=True)
        ]

    def barrier(self) -> None:
        """Waits until all processes have called it."""
        self.all_gather_object(None)

    def run_on_all_ranks(self, action: Callable[[], T]) -> T:
        """Calls a function in every process; raises one ``DataError`` in all of them if it has failed in any."""
        if self.world_size == 1:
            return action()
        faults: list[str] = []
        try:
            result = action()
        except MachampError as error:
            faults = error.faults
        all_faults = dict.fromkeys(fault for found in self.all_gather_object(faults) for fault in found)
        if all_faults:
            raise DataError(all_faults)
        return result

    @contextlib.contextmanager
    def reporting_lost_processes(self) -> Iterator[None]:
        """Raises ``LostProcessError`` for the RuntimeError of gloo or nccl after another process has ended."""
        try:
            yield
        except RuntimeError as error:
            if self.world_size == 1 or isinstance(error, torch.OutOfMemoryError):
                raise
            raise _lost(self.rank, self.world_size, error) from None


SINGLE_PROCESS = Processes()


@contextlib.contextmanager
def process_group(*, on_gpus: bool) -> Iterator[Processes]:
    """Joins the process group if ``torchrun`` has started several processes; otherwise there is only this one.

    The main process reports errors: those of the others have no lines, unless a process was lost.
    """
    ranks = _rank_and_world_size()
    if ranks is None:
        yield SINGLE_PROCESS
        return
    rank, world_size = ranks
    backend = "cpu:gloo,cuda:nccl" if on_gpus and torch.cuda.is_available() else "gloo"
    try:
        distributed.init_process_group(backend, timeout=STEP_TIMEOUT)
        object_group = distributed.new_group(backend="gloo", timeout=OBJECT_TIMEOUT)
    except RuntimeError as error:
        raise _lost(rank, world_size, error) from None
    destroys_group = True
    try:
        yield Processes(rank, world_size, object_group)
    except BaseException as error:
        # With a lost process, or a GPU that is still computing, destroying the group could block forever.
        is_lost = isinstance(error, LostProcessError)
        destroys_group = isinstance(error, StoppedError) or not (is_lost or torch.cuda.is_initialized())
        if rank and isinstance(error, MachampError) and not is_lost:
            error.faults.clear()
        if rank and isinstance(error, KeyboardInterrupt):
            raise StoppedError([]) from None
        raise
    finally:
        if destroys_group:
            distributed.destroy_process_group()


def _rank_and_world_size() -> tuple[int, int] | None:
    """From the variables that ``torchrun`` sets; None for a single process, ``ConfigError`` for invalid values."""
    # Some systems set variables to the empty string instead of unsetting them.
    values = {name: os.environ.get(name, "").strip() for name in _VARIABLES}
    if not values["WORLD_SIZE"]:
        return None
    world_size = _number("WORLD_SIZE", values["WORLD_SIZE"], lowest=1)
    if world_size == 1:
        return None
    for name, value in values.items():
        if not value:
            raise ConfigError(
                f"{name}: is not set, but WORLD_SIZE is {world_size}; start several processes with torchrun, or unset "
                "WORLD_SIZE for a single one"
            )
    _number("LOCAL_RANK", values["LOCAL_RANK"], highest=world_size - 1)
    _number("MASTER_PORT", values["MASTER_PORT"], lowest=1, highest=65535)
    if local_world_size := os.environ.get("LOCAL_WORLD_SIZE", "").strip():
        _number("LOCAL_WORLD_SIZE", local_world_size, lowest=1, highest=world_size)
    return _number("RANK", values["RANK"], highest=world_size - 1), world_size


def _number(name: str, value: str, *, lowest: int = 0, highest: int = MAX_WORLD_SIZE) -> int:
    """The number in an environment variable; raises ``ConfigError`` for anything else."""
    is_number = value.isascii() and value.isdecimal() and len(value) < 10
    if not (is_number and lowest <= int(value) <= highest):
        raise ConfigError(
            f"{name}: found {value[:60]!r} in the environment, expected a number from {lowest} to {highest}; start "
            "several processes with torchrun, or unset WORLD_SIZE for a single one"
        )
    return int(value)


def set_local_device() -> int:
    """Makes the GPU with the local rank of this process the current one; raises ``ConfigError`` if there is none."""
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"torchrun: found process {number + 1} of this machine, but {count} GPUs; expected "
            f"--nproc_per_node={count}, or --device -1 for the CPU"
        )
    torch.cuda.set_device(number)
    return number


def _lost(rank: int, world_size: int, error: Exception) -> LostProcessError:
    # Without the library's source location and its advice to developers.
    reason = re.sub(r"\[\S+:\d+\] ", "", first_line(error)).partition(". ")[0]
    return LostProcessError(
        f"process {rank} of {world_size}: another one has ended or cannot be reached ({reason}); resume the run from "
        "its last state with --resume"
    )
