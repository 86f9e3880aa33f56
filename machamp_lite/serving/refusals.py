"""Errors of requests: each is a status and a plain line, which is also its answer."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from machamp_lite.errors import MachampError, first_line, is_out_of_memory, is_panic

logger = logging.getLogger(__name__)

# A client that is still sending its request reads the answer only if the connection stays open for a moment.
LINGER_SECONDS, LINGER_BYTES = 2.0, 2**24


class RefusedError(Exception):
    """A request that is not predicted: the status of the answer, one line per fault, and headers."""

    def __init__(self, status: int, faults: str | Sequence[str], headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        self.headers = dict(headers or {})
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[Any, ...]:
        return RefusedError, (self.status, self.faults, self.headers)


class _Answer(JSONResponse):
    """The answer to a request; if its body was not read, reads on for a moment and closes the connection."""

    def __init__(self, refusal: RefusedError, *, is_read: bool) -> None:
        headers = refusal.headers if is_read else {**refusal.headers, "Connection": "close"}
        first, *others = refusal.faults
        content = {"error": first, **({"more": others} if others else {})}
        super().__init__(content, status_code=refusal.status, headers=headers)
        self.is_read = is_read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.is_read:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    size = 0
    while size < LINGER_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            return


def refusal_of(error: BaseException) -> RefusedError:
    """The refusal for any error; those that are not the client's are logged."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, HTTPException):
        return RefusedError(error.status_code, f"{error.detail}; see /docs", error.headers)
    if is_panic(error):
        return RefusedError(422, f"request: the tokenizer cannot read its input ({first_line(error)})")
    if is_out_of_memory(error):
        logger.warning("a request was refused: out of memory (%s)", first_line(error))
        return RefusedError(503, "server: out of memory; send fewer or shorter sentences", {"Retry-After": "1"})
    if isinstance(error, MachampError):
        return RefusedError(422, error.faults)
    logger.error("a bug in machamp_lite", exc_info=error)
    return RefusedError(500, "server: a bug in machamp_lite, not in your request; the log of the server has more")


def answer(request: Request, error: BaseException) -> JSONResponse:
    """The answer to a request that raised an error."""
    has_body = request.method == "POST" and not getattr(request.state, "is_read", False)
    return _Answer(refusal_of(error), is_read=not has_body)
