"""A server in a thread of the test's own process, with models that are made up, and clients with plain sockets."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import jsonschema

from machamp_lite.errors import DataError
from machamp_lite.serving.app import PredictionServer
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.openapi import document
from machamp_lite.serving.server import bind, run

SECONDS = 10.0
DESCRIPTION = document(Limits())


def in_capitals(value: Any, *, html: bool) -> str:
    """The prediction of a made-up model, as JSON or HTML."""
    words = value.split() if isinstance(value, str) else value
    if html:
        return f"<p>{escape(' '.join(words).upper())}</p>"
    return json.dumps({"text": " ".join(words), "labels": {"upper": [word.upper() for word in words]}})


@dataclass
class MadeUpModel:
    """Predicts words in capital letters; waits while ``free`` is not set; BAD, BUG and PANIC raise errors."""

    name: str = "upper"
    free: threading.Event = field(default_factory=threading.Event)
    batches: list[list[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free.set()

    def dataset_of(self, name: str | None, inputs: Sequence[Any]) -> str:
        return name or "D"

    def predict(self, kind: Any, items: Sequence[Any]) -> list[Any]:
        values = [item.value for item in items]
        self.batches.append(values)
        assert self.free.wait(SECONDS)
        if any("BAD" in value for value in values):
            raise DataError("input: found BAD, expected another word")
        if any("BUG" in value for value in values):
            raise ZeroDivisionError("secret")
        if any("PANIC" in value for value in values):
            raise type("PanicException", (BaseException,), {})("at the disco")
        return [in_capitals(value, html=kind.html) for value in values]

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "datasets": {"D": {"reads": "words", "num_texts": 1, "tasks": {"upper": "seq"}}}}


@dataclass
class LiveServer:
    """The address of a server, and the function that a signal would call."""

    host: str
    port: int
    stop: Callable[[int, Any], None]
    thread: threading.Thread

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection((self.host, self.port), timeout=SECONDS)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """The status, the content and the headers of an answer; a body that is no string or bytes is sent as JSON.

        Every answer must be as the OpenAPI document describes it.
        """
        client = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        with contextlib.closing(client):
            content = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
            client.request(method, path, content, headers or {})
            answer = client.getresponse()
            text = answer.read().decode()
            found = {name.lower(): value for name, value in answer.getheaders()}
        is_json = found.get("content-type") == "application/json"
        value = json.loads(text) if is_json else text
        check_description(method.lower(), path.partition("?")[0], answer.status, value, found)
        return answer.status, value, found

    def predict(self, **body: Any) -> tuple[int, Any, dict[str, str]]:
        """The answer to a prediction."""
        return self.ask("POST", "/predict", body)

    def metric(self, line: str) -> float:
        """A number of /metrics, by its name with labels; 0 if it is not there."""
        lines = self.ask("GET", "/metrics")[1].splitlines()
        return next((float(one.rpartition(" ")[2]) for one in lines if one.startswith(line + " ")), 0.0)


def check_description(method: str, path: str, status: int, value: Any, headers: dict[str, str]) -> None:
    """Fails if an answer is not described: its status, headers, media type or content."""
    if method not in DESCRIPTION["paths"].get(path, {}):
        assert status in (404, 405) or method == "options", (path, status)
        return
    if value == "Service Unavailable":
        # The answer of uvicorn to one connection too many.
        return
    found = DESCRIPTION["paths"][path][method]["responses"][str(status)]
    assert {name.lower() for name in found.get("headers", {})} <= headers.keys(), (path, status)
    media_type = headers["content-type"]
    described = found["content"].get(media_type) or found["content"][media_type.partition(";")[0]]
    jsonschema.validate(value, described["schema"] | {"components": DESCRIPTION["components"]})


@contextlib.contextmanager
def serving(
    *models: Any, token: str | None = None, origins: Sequence[str] = (), workers: int = 1, **limits: Any
) -> Iterator[LiveServer]:
    """A running server; it is stopped at the end."""
    found = Limits(**limits)
    app = PredictionServer(models, limits=found, token=token, origins=origins, workers=workers).app()
    handlers: list[Callable[[int, Any], None]] = []

    def signals(handler: Callable[[int, Any], None]) -> Any:
        handlers.append(handler)
        return contextlib.nullcontext()

    with bind("127.0.0.1", 0) as bound:
        thread = threading.Thread(target=run, args=(app, bound), kwargs={"limits": found, "signals": signals})
        thread.start()
        host, port = bound.getsockname()
        wait_until(lambda: bool(handlers) and is_open(host, port))
        server = LiveServer(host, port, handlers[0], thread)
        try:
            yield server
        finally:
            server.stop(15, None)
            thread.join(SECONDS)
            assert not thread.is_alive()


def is_open(host: str, port: int) -> bool:
    """Whether connections are accepted."""
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], *, seconds: float = SECONDS) -> None:
    """Waits for a condition; fails if it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def together(*work: Callable[[], Any]) -> list[Any]:
    """The results of functions that run at the same time, each in a thread."""
    results: list[Any] = [None] * len(work)

    def call(index: int) -> None:
        results[index] = work[index]()

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * SECONDS)
    return results
