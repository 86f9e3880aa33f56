"""Processes that predict: results in order, errors of their own request only, and gone with the server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from live_server import LiveServer, MadeUpModel, serving, together, wait_until

from machamp_lite.serving.refusals import RefusedError
from machamp_lite.serving.workers import Workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several workers need Linux")


class Reporting:
    """Predicts the number of its process; ends it for "DIE"."""

    def predict(self, kind: Any, items: Any) -> list[int]:
        if "DIE" in items:
            os.kill(os.getpid(), signal.SIGKILL)
        return [os.getpid() for _ in items]


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


def test_batches_are_predicted_by_other_processes_and_a_killed_one_is_replaced() -> None:
    async def run() -> None:
        workers = Workers({"m": Reporting()}, 2)
        try:
            first = await workers.predict("m", "kind", [["a", "b"]])
            assert first[0][0] == first[0][1] != os.getpid()
            lost, also_lost = await asyncio.gather(
                workers.predict("m", "kind", [["DIE"], ["a"]]), workers.predict("m", "kind", [["DIE"]])
            )
            assert [one.status for one in lost + also_lost if isinstance(one, RefusedError)] == [503] * 3
            again = await workers.predict("m", "kind", [["a"], ["b"]])
            assert again[0] == again[1] != first[0][:1]
        finally:
            workers.stop()

    asyncio.run(run())


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
