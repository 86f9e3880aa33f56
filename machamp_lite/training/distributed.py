"""The processes of a run that ``torchrun`` starts: what they tell each other, and what one does for all.

What is told goes over the CPU (gloo), gradients from GPU to GPU (nccl). Nothing is pickled: it is told as JSON.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from machamp_lite.errors import (
    ConfigError,
    DataError,
    LostProcessError,
    MachampError,
    StoppedError,
    first_line,
)

# How long a process waits for the others within a step. One that has died is noticed at once.
TIME_LIMIT = timedelta(minutes=10)
# How long while another one reads, scores, predicts or saves.
PATIENCE = timedelta(days=7)
MOST_PROCESSES = 10**6
_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those of a run; by default it is alone, and everything is done at once.

    What a method does, every process has to call in the same order. All raise ``LostProcessError`` if another one has
    ended.
    """

    rank: int = 0
    count: int = 1
    patient: Any = None

    @property
    def launcher(self) -> str:
        """The beginning of a command that starts as many again."""
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "").strip() or self.count)
        several = f"torchrun --nproc_per_node={here}" if here == self.count else "torchrun ..."
        return "python" if self.count == 1 else several

    @property
    def is_main_process(self) -> bool:
        """Whether it is the one that writes and scores."""
        return self.rank == 0

    def any_of(self, *flags: bool) -> tuple[bool, ...]:
        """Which flags are set on any process."""
        if self.count == 1:
            return flags
        numbers = torch.tensor(flags, dtype=torch.uint8)
        with self._losing_plainly():
            distributed.all_reduce(numbers, op=distributed.ReduceOp.MAX)
        return tuple(bool(number) for number in numbers.tolist())

    def add_up(self, tensor: Tensor) -> None:
        """Puts the sum over all processes in the place of a tensor."""
        if self.count > 1:
            with self._losing_plainly():
                distributed.all_reduce(tensor)

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Puts what the first process has in the place of all others' tensors."""
        if self.count > 1:
            with self._losing_plainly():
                for tensor in tensors:
                    distributed.broadcast(tensor, 0)

    def told(self, value: T) -> T:
        """What the first process has, as JSON can hold it; the others wait for it."""
        if self.count == 1:
            return value
        text = _as_bytes(value)
        with self._losing_plainly():
            length = torch.tensor(len(text))
            distributed.broadcast(length, 0, group=self.patient)
            if not self.is_main_process:
                text = torch.empty(int(length), dtype=torch.uint8)
            distributed.broadcast(text, 0, group=self.patient)
        return _from_bytes(text)

    def gathered(self, value: T) -> list[T]:
        """What each process has, as JSON can hold it, by rank."""
        if self.count == 1:
            return [value]
        text = _as_bytes(value)
        with self._losing_plainly():
            lengths = [torch.tensor(0) for _ in range(self.count)]
            distributed.all_gather(lengths, torch.tensor(len(text)), group=self.patient)
            longest = max(map(int, lengths))
            texts = [torch.empty(longest, dtype=torch.uint8) for _ in lengths]
            own = torch.nn.functional.pad(text, (0, longest - len(text)))
            distributed.all_gather(texts, own, group=self.patient)
        return [_from_bytes(text[: int(length)]) for text, length in zip(texts, lengths, strict=True)]

    def wait(self) -> None:
        """Waits until all processes have come here."""
        self.gathered(None)

    def together(self, action: Callable[[], T]) -> T:
        """What an action gives, after it has ended well on all; else ``DataError`` on all, with the faults of all."""
        if self.count == 1:
            return action()
        faults: list[str] = []
        try:
            result = action()
        except MachampError as error:
            faults = error.faults
        every_fault = dict.fromkeys(fault for found in self.gathered(faults) for fault in found)
        if every_fault:
            raise DataError(every_fault)
        return result

    @contextlib.contextmanager
    def _losing_plainly(self) -> Iterator[None]:
        try:
            yield
        # What gloo, nccl and the store raise when a peer has gone or the time is over.
        except RuntimeError as error:
            raise _lost(self.rank, self.count, error) from None


SINGLE_PROCESS = Processes()


@contextlib.contextmanager
def joined(*, on_gpus: bool) -> Iterator[Processes]:
    """The processes that ``torchrun`` has started this one with; alone without it.

    What goes wrong on all of them alike is left to the first one to tell: elsewhere the errors have no lines.
    """
    place = _place()
    if place is None:
        yield SINGLE_PROCESS
        return
    rank, count = place
    backend = "cpu:gloo,cuda:nccl" if on_gpus and torch.cuda.is_available() else "gloo"
    try:
        distributed.init_process_group(backend, timeout=TIME_LIMIT)
        patient = distributed.new_group(backend="gloo", timeout=PATIENCE)
    except RuntimeError as error:
        raise _lost(rank, count, error) from None
    takes_leave = True
    try:
        yield Processes(rank, count, patient)
    except BaseException as error:
        # Nobody can take leave of one that has gone, and on a GPU of one that still computes: it could take for ever.
        is_lost = isinstance(error, LostProcessError)
        takes_leave = isinstance(error, StoppedError) or not (is_lost or torch.cuda.is_initialized())
        if rank and isinstance(error, MachampError) and not is_lost:
            error.faults.clear()
        if rank and isinstance(error, KeyboardInterrupt):
            raise StoppedError([]) from None
        raise
    finally:
        if takes_leave:
            distributed.destroy_process_group()


def _place() -> tuple[int, int] | None:
    """The rank of this process and the number of processes; None if it is the only one.

    Raises ``ConfigError`` for values that ``torchrun`` does not set.
    """
    # Some systems set variables to nothing instead of unsetting them.
    given = {name: os.environ.get(name, "").strip() for name in _VARIABLES}
    if not given["WORLD_SIZE"]:
        return None
    count = _number("WORLD_SIZE", given["WORLD_SIZE"], least=1)
    if count == 1:
        return None
    for name, value in given.items():
        if not value:
            raise ConfigError(
                f"{name}: is not set, but WORLD_SIZE is {count}; start several processes with torchrun, or unset "
                "WORLD_SIZE for a single one"
            )
    _number("LOCAL_RANK", given["LOCAL_RANK"], most=count - 1)
    _number("MASTER_PORT", given["MASTER_PORT"], least=1, most=65535)
    if os.environ.get("LOCAL_WORLD_SIZE", "").strip():
        _number("LOCAL_WORLD_SIZE", os.environ["LOCAL_WORLD_SIZE"].strip(), least=1, most=count)
    return _number("RANK", given["RANK"], most=count - 1), count


def _number(name: str, value: str, *, least: int = 0, most: int = MOST_PROCESSES) -> int:
    """The number in a variable of the environment; raises ``ConfigError`` for anything else."""
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and least <= int(value) <= most):
        raise ConfigError(
            f"{name}: found {value[:60]!r} in the environment, expected a number from {least} to {most}; start several "
            "processes with torchrun, or unset WORLD_SIZE for a single one"
        )
    return int(value)


def set_local_device() -> int:
    """Takes the GPU with the number that this process has on its machine; raises ``ConfigError`` without one."""
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"torchrun: found process {number + 1} of this machine, but {count} GPUs; expected "
            f"--nproc_per_node={count}, or --device -1 for the CPU"
        )
    torch.cuda.set_device(number)
    return number


def _lost(rank: int, count: int, error: Exception) -> LostProcessError:
    # Without the place in a library's source, and advice for whoever changes it.
    reason = re.sub(r"\[\S+:\d+\] ", "", first_line(error)).partition(". ")[0]
    return LostProcessError(
        f"process {rank} of {count}: another one has ended or cannot be reached ({reason}); resume the run from its "
        "last state with --resume"
    )


def _as_bytes(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _from_bytes(text: Tensor) -> Any:
    return json.loads(text.numpy().tobytes())
