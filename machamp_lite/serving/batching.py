"""Joins the sentences of several requests into batches, which workers predict."""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from machamp_lite.errors import counted
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.refusals import RefusedError

# A batch has fewer sentences if they are long: on average, a sentence has at most this many words.
WORDS_PER_SENTENCE = 64
LONGEST_RETRY = 60
# A batch waits for more requests only while one arrives within this time.
PAUSE_SECONDS = 0.001

# Predicts parts of one kind together: the results or the error of each.
Predict = Callable[[Hashable, Sequence[Sequence[Any]]], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Item:
    """One sentence or text: a string, a list of words, or the record of a file."""

    value: Any
    num_words: int


@dataclass(slots=True, eq=False)
class _Request:
    """The items of a request; the first ``taken`` of them are predicted, or are being predicted."""

    kind: Hashable
    items: Sequence[Any]
    future: asyncio.Future[list[Any]]
    # When it stops waiting for others.
    deadline: float
    taken: int = 0
    # By their positions, because parts end in any order.
    results: dict[int, Any] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return len(self.items) - self.taken


@dataclass(frozen=True, slots=True)
class _Part:
    """The items of a request that are in a batch."""

    request: _Request
    positions: range

    @property
    def items(self) -> Sequence[Any]:
        return self.request.items[self.positions.start : self.positions.stop]


class Batcher:
    """The queue of one model.

    Requests of one kind (the same dataset and options) are predicted together. A request with many sentences is
    predicted in parts, and others have their turn in between. ``num_workers`` batches are predicted at the same time,
    which share the waiting sentences. ``watch`` is called with the number of sentences of each batch and its seconds.
    Everything runs in the event loop, so no lock is needed.
    """

    def __init__(
        self, predict: Predict, num_workers: int = 1, *, limits: Limits, watch: Callable[[int, float], None]
    ) -> None:
        self._predict, self._limits, self._watch = predict, limits, watch
        self._requests: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._num_workers = self._idle = num_workers
        # A moving average over batches.
        self._seconds_per_sentence = 0.0
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
        """Predicts until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._num_workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        """Predicts one batch after the other."""
        while True:
            # Requests that have failed are removed first.
            await asyncio.sleep(0)
            await self._wait()
            if not (parts := self._take()):
                continue
            start, items = time.perf_counter(), [part.items for part in parts]
            self._idle -= 1
            try:
                outcomes = await self._predict(parts[0].request.kind, items)
            finally:
                self._idle += 1
            self._count(sum(map(len, items)), time.perf_counter() - start)
            for part, outcome in zip(parts, outcomes, strict=True):
                self._finish(part, outcome)

    async def _wait(self) -> None:
        """Waits for a request, and then for others until a batch is full, none arrives, or the first waited enough."""
        while not self._requests:
            self._arrived.clear()
            await self._arrived.wait()
        end, loop = self._requests[0].deadline, asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            while self.waiting < self._limits.max_batch:
                self._arrived.clear()
                async with asyncio.timeout_at(min(end, loop.time() + PAUSE_SECONDS)):
                    await self._arrived.wait()

    def _take(self) -> list[_Part]:
        """The next parts of a batch, of the kind of the first request."""
        parts: list[_Part] = []
        others: list[_Request] = []
        unfinished: list[_Request] = []
        sentences_left = min(self._limits.max_batch, math.ceil(self.waiting / self._idle))
        words_left = self._limits.max_batch * WORDS_PER_SENTENCE
        for request in self._requests:
            if request.kind != self._requests[0].kind or sentences_left <= 0 or words_left <= 0:
                others.append(request)
                continue
            start = request.taken
            while request.left and sentences_left > 0 and words_left > 0:
                words_left -= request.items[request.taken].num_words
                request.taken += 1
                sentences_left -= 1
            parts.append(_Part(request, range(start, request.taken)))
            if request.left:
                unfinished.append(request)
        self._requests = deque([*others, *unfinished])
        self.waiting -= sum(len(part.positions) for part in parts)
        return parts

    def _finish(self, part: _Part, outcome: Any) -> None:
        """Passes results or an error to a request, unless its client has gone."""
        request = part.request
        if request.future.done():
            return
        if isinstance(outcome, Exception):
            request.future.set_exception(outcome)
            return
        request.results.update(zip(part.positions, outcome, strict=True))
        if len(request.results) == len(request.items):
            request.future.set_result([request.results[position] for position in range(len(request.items))])

    def _count(self, sentences: int, seconds: float) -> None:
        self._watch(sentences, seconds)
        last, average = seconds / sentences / self._num_workers, self._seconds_per_sentence
        self._seconds_per_sentence = 0.8 * average + 0.2 * last if average else last

    def _retry_after(self) -> int:
        """The seconds until the sentences that wait are predicted."""
        return min(LONGEST_RETRY, max(1, math.ceil(self._seconds_per_sentence * self.waiting)))
