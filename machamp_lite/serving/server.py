"""Runs the application on a socket until it is stopped; slow and silent clients are disconnected."""

import contextlib
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import uvicorn
from httptools import HttpParserError, HttpParserUpgrade
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from machamp_lite.errors import ConfigError, OutputError
from machamp_lite.serving.limits import Limits

# A connection without requests is closed after this time.
KEEP_ALIVE_SECONDS = 15
# When the server is stopped, the last requests have this time in addition to their own.
GRACE_SECONDS = 5
MAX_HEADER_BYTES = 2**14

# In its context, the function is called by the signals that stop a process.
StopSignals = Callable[[Callable[[int, Any], None]], AbstractContextManager[None]]


def bind(host: str, port: int) -> socket.socket:
    """A socket with this address; raises ``ConfigError`` if it cannot be used. Port 0 is any free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(
            f"--host: found '{host}' ({error.strerror or error}), expected an address of this machine"
        ) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"--port: {host}:{port} cannot be used ({error.strerror or error}), expected a free port"
        ) from None
    return bound


def run(
    app: Starlette,
    bound: socket.socket,
    *,
    limits: Limits,
    signals: StopSignals,
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Serves until a signal arrives; then requests that have been accepted are answered, and new ones refused.

    ``on_start`` is called when connections are accepted.
    """
    config = uvicorn.Config(
        app,
        http=_limited_protocol(limits.timeout),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=limits.max_connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(2 * limits.timeout) + GRACE_SECONDS,
    )
    _Server(config, signals, on_start).run(sockets=[bound])


class _Server(uvicorn.Server):
    """Returns after a signal has stopped it; a second Ctrl-C ends it at once."""

    def __init__(self, config: uvicorn.Config, signals: StopSignals, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._signals, self._on_start = signals, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept connections."""
        try:
            await super().startup(sockets)
        except SystemExit:
            raise OutputError("serve: the server cannot start; the lines above say why") from None
        self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals; uvicorn itself would raise them again at the end."""
        with self._signals(self.handle_exit):
            yield


def _limited_protocol(seconds: float) -> type[HttpToolsProtocol]:
    """The protocol of a connection that is cut if the server has waited for its client for this time."""

    class LimitedProtocol(HttpToolsProtocol):
        _timer: TimerHandle | None = None
        # The bytes that were received last, and those since a request or a piece of its body began: of headers,
        # trailers, or extensions of chunks, which the application does not see.
        _received = 0
        _header_bytes = 0

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._header_bytes = -self._received

        def on_body(self, body: bytes) -> None:
            super().on_body(body)
            self._header_bytes = -self._received

        def on_headers_complete(self) -> None:
            # The parser takes the body of a request to upgrade for another protocol.
            if not self.parser.should_upgrade():
                super().on_headers_complete()

        def on_message_complete(self) -> None:
            if not self.parser.should_upgrade():
                super().on_message_complete()

        def data_received(self, data: bytes) -> None:
            self._received = len(data)
            self._unset_keepalive_if_required()
            self._parse(data)
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
                self.send_400_response("The headers are too long.")
            self._limit()

        def _parse(self, data: bytes) -> None:
            try:
                while data:
                    try:
                        self.parser.feed_data(data)
                        return
                    except HttpParserUpgrade as upgrade:
                        # There are no other protocols here: curl and Java offer HTTP/2, and are answered without it.
                        data = self._without_upgrade() + data[upgrade.args[0] :]
            except HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")

        def _without_upgrade(self) -> bytes:
            """The headers of the last request without an upgrade."""
            method, version = self.parser.get_method(), self.parser.get_http_version().encode()
            if method == b"CONNECT":
                raise HttpParserError
            headers = (b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade")
            return b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, b"".join(headers))

        def connection_made(self, transport: Transport) -> None:
            super().connection_made(transport)
            self._limit()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._limit()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._limit()

        def shutdown(self) -> None:
            super().shutdown()
            self._limit()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._limit()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_timer()
            self._limit()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop_timer()

        def _waits(self) -> bool:
            """Whether the client has to act: to read an answer, or to send the rest of a request."""
            if self.transport.is_closing() or self.flow.write_paused:
                return True
            is_answering = self.cycle is not None and not self.cycle.response_complete
            # Between two requests, uvicorn has a timer of its own.
            return not is_answering and self.timeout_keep_alive_task is None

        def _limit(self) -> None:
            if not self._waits():
                self._stop_timer()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self.transport.abort)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return LimitedProtocol
