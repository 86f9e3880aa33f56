"""Joins the sentences of several requests into batches, which one thread predicts one after the other."""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from machamp_lite.errors import counted
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.refusals import RefusedError, refusal_of

# Long sentences are fewer per batch: it has at most this many words per sentence on average.
WORDS_PER_SENTENCE = 64
LONGEST_RETRY = 60

# Predicts items of one kind together: the result of each item, in order.
Predict = Callable[[Any, Sequence[Any]], Sequence[Any]]


class Item(Protocol):
    """One sentence or text; ``num_words`` is its size."""

    @property
    def num_words(self) -> int: ...


@dataclass(slots=True, eq=False)
class _Request:
    """The items of a request; the first ``taken`` of them are predicted, or are being predicted."""

    kind: Hashable
    items: Sequence[Any]
    future: asyncio.Future[list[Any]]
    # Until then, it waits for others.
    deadline: float
    taken: int = 0
    results: list[Any] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.items) - self.taken


# A request, and the items of it that are in a batch.
Part = tuple[_Request, Sequence[Any]]


class Batcher:
    """The queue of one model, and the thread that predicts.

    Requests of one kind (the same dataset and options) are predicted together. A request with many sentences is
    predicted in parts, between which others have their turn. ``watch`` gets the number of sentences of each batch and
    its seconds. All but the prediction runs in the event loop, so that nothing needs a lock.
    """

    def __init__(self, predict: Predict, *, limits: Limits, watch: Callable[[int, float], None]) -> None:
        self._predict, self._limits, self._watch = predict, limits, watch
        self._requests: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        # Seconds per sentence of the last batches.
        self._pace = 0.0
        self.waiting = 0

    async def predict(self, kind: Hashable, items: Sequence[Item]) -> list[Any]:
        """The results of items; raises ``RefusedError`` if too many are waiting.

        If it is cancelled, because the client has gone, the items that wait are removed.
        """
        if self.waiting + len(items) > self._limits.max_queue:
            raise RefusedError(
                503,
                f"server: {counted(self.waiting, 'sentence')} of other requests are waiting; try again later",
                {"Retry-After": str(self._retry_after())},
            )
        loop = asyncio.get_running_loop()
        request = _Request(kind, items, loop.create_future(), loop.time() + self._limits.max_wait_ms / 1000)
        self._requests.append(request)
        self.waiting += len(items)
        self._arrived.set()
        try:
            return await request.future
        finally:
            if request.left:
                self.waiting -= request.left
                request.taken = len(items)
                with contextlib.suppress(ValueError):
                    self._requests.remove(request)

    async def run(self) -> None:
        """Predicts until it is cancelled; then the current batch is finished."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                # Requests that have failed are removed first.
                await asyncio.sleep(0)
                await self._wait()
                if not (parts := self._take()):
                    continue
                start, items = time.perf_counter(), [items for _, items in parts]
                outcomes = await loop.run_in_executor(self._thread, self._outcomes, parts[0][0].kind, items)
                self._count(sum(map(len, items)), time.perf_counter() - start)
                for (request, _), outcome in zip(parts, outcomes, strict=True):
                    self._finish(request, outcome)
        finally:
            self._thread.shutdown(wait=False)

    async def _wait(self) -> None:
        """Waits for a request, and then for others until a batch is full or the first has waited long enough."""
        while not self._requests:
            self._arrived.clear()
            await self._arrived.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._requests[0].deadline):
                while self.waiting < self._limits.max_batch:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _take(self) -> list[Part]:
        """The next parts of a batch, of the kind of the first request."""
        parts: list[Part] = []
        others: list[_Request] = []
        unfinished: list[_Request] = []
        room, words = self._limits.max_batch, self._limits.max_batch * WORDS_PER_SENTENCE
        for request in self._requests:
            if request.kind != self._requests[0].kind or room <= 0 or words <= 0:
                others.append(request)
                continue
            start = request.taken
            while request.left and room > 0 and words > 0:
                words -= request.items[request.taken].num_words
                request.taken += 1
                room -= 1
            parts.append((request, request.items[start : request.taken]))
            if request.left:
                unfinished.append(request)
        self._requests = deque([*others, *unfinished])
        self.waiting -= sum(len(items) for _, items in parts)
        return parts

    def _outcomes(self, kind: Hashable, parts: Sequence[Sequence[Any]]) -> list[Any]:
        """For each part its results, or its error; one that cannot be predicted does not fail the others."""
        try:
            results = self._predict(kind, [item for part in parts for item in part])
        # Also panics of libraries in Rust, which are not an ``Exception``.
        except BaseException as error:
            if len(parts) == 1:
                return [error if isinstance(error, Exception) else refusal_of(error)]
            return [outcome for part in parts for outcome in self._outcomes(kind, [part])]
        remaining = iter(results)
        return [[next(remaining) for _ in part] for part in parts]

    def _finish(self, request: _Request, outcome: Any) -> None:
        """Passes results or an error to a request, unless its client has gone."""
        if request.future.done():
            return
        if isinstance(outcome, Exception):
            request.future.set_exception(outcome)
            return
        request.results += outcome
        if len(request.results) == len(request.items):
            request.future.set_result(request.results)

    def _count(self, sentences: int, seconds: float) -> None:
        self._watch(sentences, seconds)
        pace = seconds / sentences
        self._pace = 0.8 * self._pace + 0.2 * pace if self._pace else pace

    def _retry_after(self) -> int:
        """The seconds until the sentences that wait are predicted."""
        return min(LONGEST_RETRY, max(1, math.ceil(self._pace * self.waiting)))
