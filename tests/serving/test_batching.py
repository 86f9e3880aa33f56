"""Requests are joined into batches in turn; the queue is bounded, and what nobody waits for leaves it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from machamp_lite.errors import DataError
from machamp_lite.serving.batching import WORDS_PER_SENTENCE, Batcher
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.refusals import RefusedError
from machamp_lite.serving.workers import Workers


@dataclass(frozen=True)
class Number:
    value: int
    num_words: int = 1


@dataclass
class Doubling:
    """Doubles numbers, of which negative ones are errors; keeps its batches, and waits while ``free`` is not set."""

    free: threading.Event = field(default_factory=threading.Event)
    batches: list[tuple[Any, list[int]]] = field(default_factory=list)

    def predict(self, kind: Any, items: Sequence[Number]) -> list[int]:
        values = [item.value for item in items]
        self.batches.append((kind, values))
        assert self.free.wait(10)
        if min(values) < 0:
            raise DataError("found a negative number")
        return [2 * value for value in values]


def numbers(*values: int) -> list[Number]:
    return [Number(value) for value in values]


def check(
    test: Callable[[Batcher, Doubling], Awaitable[None]], *, free: bool = True, number: int = 1, **limits: Any
) -> list[tuple[Any, list[int]]]:
    """Runs a test with a batcher; returns the batches."""
    doubling, watched = Doubling(), list[int]()

    async def run() -> None:
        # Threads stand for the processes of several workers.
        workers = Workers({str(number): doubling for number in range(number)}, 1)
        batcher = Batcher(
            partial(workers.predict, "0"),
            number,
            limits=Limits(**{"max_wait_ms": 1, **limits}),
            watch=lambda size, _: watched.append(size),
        )
        worker = asyncio.create_task(batcher.run())
        if free:
            doubling.free.set()
        try:
            await asyncio.wait_for(test(batcher, doubling), 10)
            assert batcher.waiting == 0
        finally:
            doubling.free.set()
            worker.cancel()
            workers.stop()

    asyncio.run(run())
    return doubling.batches


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_requests_of_several_clients_are_one_batch_with_results_in_order() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        sent = [numbers(1, 2), numbers(3), numbers(4, 5, 6)]
        assert await asyncio.gather(*(batcher.predict("a", one) for one in sent)) == [[2, 4], [6], [8, 10, 12]]

    assert check(test, max_wait_ms=50) == [("a", [1, 2, 3, 4, 5, 6])]


def test_a_full_batch_does_not_wait() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        assert await batcher.predict("a", numbers(1, 2, 3, 4)) == [2, 4, 6, 8]

    assert check(test, max_wait_ms=60_000, max_batch=4) == [("a", [1, 2, 3, 4])]


def test_a_single_request_waits_only_while_others_arrive() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        assert await batcher.predict("a", numbers(1)) == [2]

    assert check(test, max_wait_ms=60_000) == [("a", [1])]


def test_workers_that_have_nothing_to_do_share_what_waits() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        sent = asyncio.create_task(batcher.predict("a", numbers(*range(8))))
        await until(lambda: len(doubling.batches) == 2)
        doubling.free.set()
        assert await sent == list(range(0, 16, 2))

    assert check(test, free=False, number=2, max_batch=6) == [("a", [0, 1, 2, 3]), ("a", [4, 5, 6, 7])]


def test_requests_with_other_options_are_other_batches() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        sent = [("a", numbers(1)), ("b", numbers(2)), ("a", numbers(3))]
        assert await asyncio.gather(*(batcher.predict(*one) for one in sent)) == [[2], [4], [6]]

    assert check(test) == [("a", [1, 3]), ("b", [2])]


def test_a_long_request_lets_others_pass() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        long = asyncio.create_task(batcher.predict("a", numbers(*range(10))))
        await until(lambda: len(doubling.batches) == 1)
        short = asyncio.create_task(batcher.predict("a", numbers(100)))
        await asyncio.sleep(0)
        doubling.free.set()
        assert await short == [200]
        assert await long == list(range(0, 20, 2))

    sizes = [values for _, values in check(test, free=False, max_batch=4)]
    assert sizes == [[0, 1, 2, 3], [4, 5, 6, 7], [100, 8, 9]]


def test_long_sentences_are_fewer_per_batch() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        items = [Number(value, num_words=2 * WORDS_PER_SENTENCE) for value in range(4)]
        assert await batcher.predict("a", items) == [0, 2, 4, 6]

    assert [values for _, values in check(test, max_batch=4)] == [[0, 1], [2, 3]]


def test_a_full_queue_refuses_and_says_when_to_try_again() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        first = asyncio.create_task(batcher.predict("a", numbers(1)))
        await until(lambda: len(doubling.batches) == 1)
        waiting = asyncio.create_task(batcher.predict("a", numbers(2, 3)))
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as raised:
            await batcher.predict("a", numbers(4, 5))
        assert raised.value.status == 503
        assert 1 <= int(raised.value.headers["Retry-After"]) <= 60
        last = asyncio.create_task(batcher.predict("a", numbers(6)))
        await asyncio.sleep(0)
        doubling.free.set()
        assert [await first, await waiting, await last] == [[2], [4, 6], [12]]

    check(test, free=False, max_queue=3)


def test_a_request_that_nobody_waits_for_frees_its_place() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        running = asyncio.create_task(batcher.predict("a", numbers(1)))
        await until(lambda: len(doubling.batches) == 1)
        gone = asyncio.create_task(batcher.predict("a", numbers(2, 3)))
        await asyncio.sleep(0)
        assert batcher.waiting == 2
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert batcher.waiting == 0
        running.cancel()
        doubling.free.set()
        assert await batcher.predict("a", numbers(4)) == [8]

    assert [values for _, values in check(test, free=False, max_queue=2)] == [[1], [4]]


def test_an_error_fails_only_its_own_request() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        sent = [numbers(1), numbers(2, -1), numbers(3)]
        found = await asyncio.gather(*(batcher.predict("a", one) for one in sent), return_exceptions=True)
        assert (found[0], found[2]) == ([2], [6])
        assert isinstance(found[1], RefusedError) and found[1].status == 422
        assert await batcher.predict("a", numbers(4)) == [8]

    check(test)


def test_the_rest_of_a_request_that_failed_is_not_predicted() -> None:
    async def test(batcher: Batcher, doubling: Doubling) -> None:
        with pytest.raises(RefusedError, match="found a negative number"):
            await batcher.predict("a", numbers(-1, 2, 3, 4))

    assert [values for _, values in check(test, max_batch=2)] == [[-1, 2]]
