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

    One is a thread per model, in which the libraries use all cores. More are processes with one core each, forked, so
    that they have the weights in common; they need Linux and models on the CPU. A process that was killed, for want of
    memory for example, is replaced, and the others notice nothing.
    """

    def __init__(self, models: Mapping[str, Model], number: int) -> None:
        self._models, self.number = dict(models), number
        # Each has one thread or process: a pool of processes ends all of them if one was killed. None is a killed one.
        self._idle: asyncio.Queue[Executor | None] = asyncio.Queue()
        for _ in range(len(models) if number == 1 else number):
            self._idle.put_nowait(self._start())

    def _start(self) -> Executor:
        if self.number == 1:
            return ThreadPoolExecutor(1, thread_name_prefix="predict")
        executor = ProcessPoolExecutor(
            1, mp_context=get_context("fork"), initializer=_begin, initargs=(self._models, os.getpid())
        )
        # It is forked by the first call: now, not when a client waits.
        executor.submit(os.getpid)
        return executor

    async def predict(self, name: str, kind: Hashable, parts: Sequence[Sequence[Any]]) -> list[Any]:
        """For each part of a batch its results, or its error; one that cannot be predicted does not fail the others.

        If the process was killed, it may have been by one of the parts: each is predicted again alone.
        """
        if (outcomes := await self._predict(name, kind, parts)) is not None:
            return outcomes
        again = [await self._predict(name, kind, [part]) for part in parts]
        lost = RefusedError(503, "server: the process that predicted was killed; try again", {"Retry-After": "1"})
        return [lost if one is None else one[0] for one in again]

    async def _predict(self, name: str, kind: Hashable, parts: Sequence[Sequence[Any]]) -> list[Any] | None:
        """The outcome of each part, None if the process was killed."""
        predict = self._models[name].predict if self.number == 1 else partial(_predict, name)
        executor, loop = await self._idle.get(), asyncio.get_running_loop()
        try:
            executor = executor or self._start()
            try:
                outcomes = loop.run_in_executor(executor, _outcomes, predict, kind, parts)
            except BrokenExecutor:
                # It was killed while it had nothing to do.
                executor = self._start()
                outcomes = loop.run_in_executor(executor, _outcomes, predict, kind, parts)
            return await outcomes
        except BrokenExecutor:
            logger.error("--workers: a process that predicted was killed; another is started")
            executor = None
            return None
        except OSError as error:
            logger.error("--workers: no process can be started (%s)", error)
            return None
        except Exception as error:
            # For example a result that cannot be sent to another process.
            return [refusal_of(error) for _ in parts]
        finally:
            self._idle.put_nowait(executor)

    def stop(self) -> None:
        """Ends the threads or processes after their current batches, whose results are not read."""
        while not self._idle.empty():
            if (executor := self._idle.get_nowait()) is not None:
                # Without waiting, Python's own end of a pool of processes sometimes writes to a pipe that is closed.
                executor.shutdown(wait=self.number > 1)


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
