"""Processes that predict: results in order, errors of their own request only, and gone with the server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children
from typing import Any

import pytest
from live_server import LiveServer, MadeUpModel, serving, together, wait_until

from machamp_lite.errors import OutputError
from machamp_lite.serving.app import PredictionServer
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.refusals import RefusedError
from machamp_lite.serving.server import bind, run
from machamp_lite.serving.workers import Workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several workers need Linux")


class Reporting:
    """Predicts the number of its process; waits for SLEEP, ends it for DIE, and predicts what is no data for LOCAL."""

    def predict(self, kind: Any, items: Any) -> list[Any]:
        if "SLEEP" in items:
            time.sleep(0.3)
        if "DIE" in items:
            os.kill(os.getpid(), signal.SIGKILL)
        return [(lambda: None) if item == "LOCAL" else os.getpid() for item in items]


@dataclass
class Slow(MadeUpModel):
    """Waits for its first batch, so that parts of a request end in another order."""

    def predict(self, kind: Any, items: Any) -> list[Any]:
        if items[0].value == "first":
            time.sleep(0.2)
        return super().predict(kind, items)


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with serving(Slow(), workers=2, max_batch=2) as running:
        yield running


def test_results_are_in_the_order_of_the_request(server: LiveServer) -> None:
    words = ["first", *"abcdefg"]
    status, found, _ = server.predict(texts=words)
    assert status == 200
    assert [one["labels"]["upper"] for one in found["predictions"]] == [[word.upper()] for word in words]


@pytest.mark.parametrize(("text", "status"), [("BAD", 422), ("BUG", 500), ("PANIC", 422), ("good", 200)])
def test_errors_of_a_process_are_answered(server: LiveServer, text: str, status: int) -> None:
    texts = [text, "good", "good", "good"]
    found = together(*(partial(server.predict, text=one) for one in texts))
    assert [one[0] for one in found] == [status, 200, 200, 200]


def check(test: Callable[[Workers], Awaitable[None]]) -> None:
    """Runs a test with two processes, which end with it."""
    others = set(active_children())

    async def run() -> None:
        workers = Workers({"m": Reporting()}, 2)
        try:
            await asyncio.wait_for(test(workers), 30)
        finally:
            workers.stop()

    asyncio.run(run())
    wait_until(lambda: set(active_children()) <= others)


def test_a_killed_process_loses_only_what_killed_it() -> None:
    async def test(workers: Workers) -> None:
        slow = asyncio.create_task(workers.predict("m", "kind", [["SLEEP", "a"]]))
        lost, again = await workers.predict("m", "kind", [["a", "DIE"], ["a"]])
        assert isinstance(lost, RefusedError) and lost.status == 503
        (found,) = await slow
        assert found[0] == found[1] and os.getpid() not in (found[0], again[0])

    check(test)


def test_processes_that_were_killed_while_idle_are_replaced() -> None:
    async def test(workers: Workers) -> None:
        before = await asyncio.gather(*(workers.predict("m", "kind", [["SLEEP"]]) for _ in range(2)))
        for ((number,),) in before:
            os.kill(number, signal.SIGKILL)
        after = await asyncio.gather(*(workers.predict("m", "kind", [["SLEEP"]]) for _ in range(2)))
        assert len({number for ((number,),) in before + after}) == 4

    check(test)


def test_a_process_that_cannot_be_replaced_now_is_replaced_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BlockingIOError("no more processes")

    async def test(workers: Workers) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fork", fail)
            for item in ("DIE", "a"):
                (lost,) = await workers.predict("m", "kind", [[item]])
                assert isinstance(lost, RefusedError) and lost.status == 503
        for _ in range(3):
            ((number,),) = await workers.predict("m", "kind", [["a"]])
            assert number != os.getpid()

    check(test)


def test_results_that_cannot_be_sent_are_an_error_of_their_batch() -> None:
    async def test(workers: Workers) -> None:
        (lost,) = await workers.predict("m", "kind", [["LOCAL"]])
        assert isinstance(lost, RefusedError) and lost.status == 500
        assert not isinstance((await workers.predict("m", "kind", [["a"]]))[0], RefusedError)

    check(test)


def test_a_server_without_processes_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BlockingIOError("no more processes")

    limits, started = Limits(), list[bool]()
    monkeypatch.setattr(os, "fork", fail)
    with bind("127.0.0.1", 0) as bound, pytest.raises(OutputError, match="cannot start"):
        run(
            PredictionServer([MadeUpModel()], limits=limits, workers=2).app(),
            bound,
            limits=limits,
            signals=lambda handler: nullcontext(),
            on_start=lambda: started.append(True),
        )
    assert not started


def test_processes_end_with_a_server_that_is_killed() -> None:
    code = """
import asyncio, os, signal
from test_workers import Reporting
from machamp_lite.serving.workers import Workers
workers = Workers({"m": Reporting()}, 2)
print(asyncio.run(workers.predict("m", "kind", [["a"]]))[0][0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    found = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert found.returncode == -signal.SIGKILL
    wait_until(lambda: not is_running(int(found.stdout)))


def is_running(number: int) -> bool:
    try:
        with open(f"/proc/{number}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
