"""Where batches are predicted: in a thread of the server, or in processes that share the memory of its models."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, Protocol

from machamp_lite.serving.refusals import RefusedError, refusal_of

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


class Model(Protocol):
    """What predicts items of one kind together: the result of each item, in order."""

    def predict(self, kind: Any, items: Sequence[Any], /) -> Sequence[Any]: ...


class Workers:
    """Predicts batches, of which ``number`` at the same time for each model.

    One is a thread, in which the libraries use all cores. More are processes with one core each, forked, so that they
    have the weights in common; they need Linux and models on the CPU. A process that was killed, for want of memory for
    example, is replaced.
    """

    def __init__(self, models: Mapping[str, Model], number: int) -> None:
        self._models, self.number = dict(models), number
        self._executor = self._start()

    def _start(self) -> Executor:
        if self.number == 1:
            return ThreadPoolExecutor(len(self._models), thread_name_prefix="predict")
        executor = ProcessPoolExecutor(
            self.number, mp_context=get_context("fork"), initializer=_begin, initargs=(self._models, os.getpid())
        )
        # All are forked by the first call: now, while no client is connected.
        executor.submit(os.getpid).result()
        return executor

    async def predict(self, name: str, kind: Hashable, parts: Sequence[Sequence[Any]]) -> list[Any]:
        """For each part of a batch its results, or its error; one that cannot be predicted does not fail the others."""
        executor, loop = self._executor, asyncio.get_running_loop()
        predict = self._models[name].predict if self.number == 1 else partial(_predict, name)
        try:
            return await loop.run_in_executor(executor, _outcomes, predict, kind, parts)
        except BrokenExecutor:
            if executor is self._executor:
                logger.error("--workers: a process that predicted was killed; it is started again")
                self._executor = self._start()
            lost = RefusedError(503, "server: the process that predicted was killed; try again", {"Retry-After": "1"})
            return [lost for _ in parts]

    def stop(self) -> None:
        """Ends the threads or the processes after their current batches."""
        # Without waiting, Python's own end of a pool of processes sometimes writes to a pipe that is closed.
        self._executor.shutdown(wait=self.number > 1)


# The models of a process that was forked.
_forked: dict[str, Model] = {}


def _begin(models: Mapping[str, Model], parent: int) -> None:
    """Prepares a process that was forked from the server."""
    import torch

    _forked.update(models)
    # The threads of OpenMP are not forked: with more than one, the process would wait for them forever.
    torch.set_num_threads(1)
    # The server stops its processes itself, after the last batch.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        signal.raise_signal(signal.SIGKILL)
    # Connections that the server closes would stay open in this process, and clients would wait for their end.
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                os.close(int(name))


def _predict(name: str, kind: Any, items: Sequence[Any]) -> Sequence[Any]:
    return _forked[name].predict(kind, items)


def _outcomes(predict: Any, kind: Hashable, parts: Sequence[Sequence[Any]]) -> list[Any]:
    """The results or the error of each part; if they cannot be predicted together, each is predicted alone."""
    try:
        results = predict(kind, [item for part in parts for item in part])
    # Also panics of libraries in Rust, which are not an ``Exception``.
    except BaseException as error:
        if len(parts) == 1:
            return [refusal_of(error)]
        return [outcome for part in parts for outcome in _outcomes(predict, kind, [part])]
    remaining = iter(results)
    return [[next(remaining) for _ in part] for part in parts]
