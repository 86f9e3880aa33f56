"""Clients that send too much, too slowly or nothing, or that go away, are refused; the others notice nothing."""

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from live_server import LiveServer, MadeUpModel, serving, together, wait_until

TIMEOUT = 0.4
HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = '{"text": "a"}'
LARGE = 2**24
WAITING = 'machamp_lite_queue_sentences{model="upper"}'


class Large(MadeUpModel):
    """Its predictions do not fit in the buffers of a connection."""

    def predict(self, kind: Any, items: Sequence[Any]) -> list[str]:
        return [f'"{"x" * LARGE}"' for _ in items]


@pytest.fixture(scope="module")
def model() -> MadeUpModel:
    return MadeUpModel()


@pytest.fixture(scope="module")
def server(model: MadeUpModel) -> Iterator[LiveServer]:
    with serving(model, timeout=TIMEOUT, max_bytes=1000, max_wait_ms=0) as running:
        yield running


@pytest.fixture(scope="module")
def patient(model: MadeUpModel) -> Iterator[LiveServer]:
    """A server in which at most three sentences may wait, as long as they like."""
    with serving(model, max_queue=3, max_sentences=3, max_wait_ms=0) as running:
        yield running


@pytest.fixture(autouse=True)
def others(server: LiveServer) -> Iterator[None]:
    """After each test, others are answered and nothing waits."""
    yield
    wait_until(lambda: server.predict(text="a")[0] == 200)
    assert server.metric(WAITING) == 0


def received(connection: socket.socket) -> str:
    """All that the server sends until it closes the connection."""
    parts = []
    try:
        while part := connection.recv(2**16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts).decode()


def request(body: str = BODY) -> bytes:
    return f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("how", ["a length", "chunks"])
def test_a_large_body_is_refused_before_it_is_read(server: LiveServer, how: str) -> None:
    with server.connect() as connection:
        sent, part = 0, b"x" * 2**16
        if how == "a length":
            connection.sendall(f"{HEAD}Content-Length: {100 * 2**20}\r\n\r\n".encode())
        else:
            connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
            part = f"{len(part):x}\r\n".encode() + part + b"\r\n"
        try:
            while sent < 100 * 2**20:
                sent += connection.send(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 50 * 2**20
        answer = received(connection)
    assert answer.startswith("HTTP/1.1 413 ") and "the body has more than 1000 bytes (--max_bytes)" in answer


def test_a_client_that_waits_for_the_refusal_gets_it_at_once(server: LiveServer) -> None:
    with server.connect() as connection:
        start = time.monotonic()
        connection.sendall(f"{HEAD}Content-Length: {2**30}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(20).startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - start < TIMEOUT


@pytest.mark.parametrize("is_second", [False, True], ids=["the first request", "the second request"])
@pytest.mark.parametrize("start", ["POST /pre", HEAD], ids=["half a line", "half the headers"])
def test_a_client_that_does_not_end_its_request_is_disconnected(
    server: LiveServer, start: str, is_second: bool
) -> None:
    with server.connect() as connection:
        if is_second:
            connection.sendall(request())
            assert connection.recv(2**16).startswith(b"HTTP/1.1 200 ")
        connection.sendall(start.encode())
        received(connection)


def test_a_silent_client_is_disconnected(server: LiveServer) -> None:
    with server.connect() as connection:
        received(connection)


def test_headers_that_never_end_are_cut(server: LiveServer) -> None:
    with server.connect() as connection, pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.sendall(HEAD.encode())
        for _ in range(10_000):
            connection.sendall(b"X-More: " + b"x" * 10_000 + b"\r\n")


def test_trailers_that_never_end_are_cut() -> None:
    sent, line = 0, b"X-More: " + b"x" * 10_000 + b"\r\n"
    cut = contextlib.suppress(BrokenPipeError, ConnectionResetError)
    with serving(MadeUpModel()) as server, server.connect() as connection, cut:
        connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}\r\n{BODY}\r\n0\r\n".encode())
        while sent < 100 * 2**20:
            connection.sendall(line)
            sent += len(line)
    assert sent < 50 * 2**20


def test_a_request_that_begins_in_the_same_packet_as_a_large_body_is_answered(patient: LiveServer) -> None:
    with patient.connect() as connection:
        first, second = request(BODY + " " * 40_000), request()
        connection.sendall(first + second[:30])
        answer = connection.recv(2**16)
        connection.sendall(second[30:])
        while answer.count(b"HTTP/1.1 200 ") < 2:
            answer += connection.recv(2**16)


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
@pytest.mark.parametrize("is_split", [False, True], ids=["at once", "in parts"])
def test_an_upgrade_that_is_offered_is_ignored(patient: LiveServer, offer: str, is_split: bool) -> None:
    head = f"{HEAD}Content-Length: {len(BODY)}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {offer}\r\n\r\n"
    with patient.connect() as connection:
        answer, number = b"", 0
        for part in [head, BODY] * 2 if is_split else [(head + BODY) * 2]:
            connection.sendall(part.encode())
            number += part.count(BODY)
            while answer.count(b'"labels"') < number:
                answer += connection.recv(2**16)
    assert answer.count(b"HTTP/1.1 200 ") == 2


def test_a_client_that_asks_on_without_reading_is_disconnected() -> None:
    with serving(Large(), timeout=TIMEOUT, max_wait_ms=0) as server, server.connect() as connection:
        connection.sendall(request())
        wait_until(lambda: server.metric('machamp_lite_requests_total{path="/predict",status="200"}') == 1)
        connection.sendall(request())
        time.sleep(2 * TIMEOUT)
        assert len(received(connection)) < LARGE


def test_a_slow_body_is_refused(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.sendall(f"{HEAD}Content-Length: 500\r\n\r\n".encode())
        end = time.monotonic() + TIMEOUT / 2
        while time.monotonic() < end:
            connection.sendall(b" ")
            time.sleep(TIMEOUT / 20)
        # The connection stays open for a moment.
        answer = ""
        while "\r\n\r\n{" not in answer:
            answer += connection.recv(2**16).decode()
    assert answer.startswith("HTTP/1.1 408 ") and "has not arrived after 0.4 seconds (--timeout)" in answer


@pytest.mark.parametrize(
    "message",
    [
        b"\x16\x03\x01\x02\x00\x01" + b"\x00" * 100,
        b"CONNECT example.org:80 HTTP/1.1",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        b"GET /h\xff HTTP/1.1",
        b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    ],
    ids=["TLS", "a tunnel", "HTTP/2", "bytes in a path", "two lengths", "a length and chunks"],
)
def test_what_is_no_http_is_refused(server: LiveServer, message: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(message + b"\r\n\r\n")
        assert received(connection).startswith("HTTP/1.1 400 ")


def test_a_client_that_goes_away_frees_its_place(patient: LiveServer, model: MadeUpModel) -> None:
    model.free.clear()
    try:
        number = len(model.batches)
        clients = [patient.connect() for _ in range(4)]
        clients[0].sendall(request())
        wait_until(lambda: len(model.batches) > number)
        for one in clients[1:]:
            one.sendall(request())
        wait_until(lambda: patient.metric(WAITING) == 3)
        assert patient.predict(text="a")[0] == 503
        assert patient.ask("GET", "/health")[:2] == (503, {"live": True, "ready": False})
        for one in clients:
            one.close()
        wait_until(lambda: patient.metric(WAITING) == 0)
    finally:
        model.free.set()
    assert patient.metric('machamp_lite_requests_total{path="/predict",status="499"}') == 4
    assert patient.predict(text="a")[0] == 200


def test_a_full_queue_refuses_and_says_when_to_try_again(patient: LiveServer, model: MadeUpModel) -> None:
    model.free.clear()
    number = len(model.batches)

    def refused() -> tuple[int, str, str]:
        wait_until(lambda: patient.metric(WAITING) == 3)
        status, document, headers = patient.predict(text="c")
        model.free.set()
        return status, document["error"], headers["retry-after"]

    def waiting() -> int:
        wait_until(lambda: len(model.batches) > number)
        return patient.predict(text="b")[0]

    found = together(lambda: patient.predict(text="a")[0], refused, *[waiting] * 3)
    error = "server: 3 sentences of other requests are waiting; try again later"
    assert found == [200, (503, error, "1"), 200, 200, 200]


def test_a_request_without_time_is_answered(server: LiveServer, model: MadeUpModel) -> None:
    model.free.clear()
    try:
        status, document, headers = server.predict(text="slow")
    finally:
        model.free.set()
    assert (status, headers["retry-after"]) == (504, "1")
    assert document["error"] == "server: not done after 0.4 seconds (--timeout); send fewer sentences, or try again"


def test_bad_and_good_requests_at_the_same_time_do_not_mix(server: LiveServer) -> None:
    words = ["BAD", "BUG", "a", "b", "c"] * 4
    with serving(MadeUpModel(), max_wait_ms=20) as free:
        found = together(*(lambda word=word: free.predict(words=[word]) for word in words))
    statuses = {"BAD": 422, "BUG": 500}
    for word, (status, document, _) in zip(words, found, strict=True):
        assert status == statuses.get(word, 200)
        assert status != 200 or document["predictions"][0]["labels"]["upper"] == [word.upper()]


def test_a_stopped_server_answers_what_waits_and_refuses_what_is_new() -> None:
    model = MadeUpModel()
    model.free.clear()
    with serving(model, max_batch=1) as server:

        def stop() -> None:
            wait_until(lambda: len(model.batches) == 1)
            wait_until(lambda: server.metric('machamp_lite_queue_sentences{model="upper"}') == 2)
            server.stop(15, None)
            wait_until(lambda: not can_ask(server))
            model.free.set()

        found = together(stop, *[lambda: server.predict(text="a")] * 3)
        assert [one[0] for one in found[1:]] == [200] * 3
        server.thread.join(10)
        assert not server.thread.is_alive()


def can_ask(server: LiveServer) -> bool:
    try:
        return server.ask("GET", "/health")[0] == 200
    except OSError:
        return False


def test_connections_beyond_the_limit_are_refused() -> None:
    with serving(MadeUpModel(), max_connections=3) as server:
        idle = [server.connect() for _ in range(4)]
        assert server.ask("GET", "/health")[0] == 503
        for one in idle:
            one.close()
        wait_until(lambda: server.ask("GET", "/health")[0] == 200)
