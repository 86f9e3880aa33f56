"""The application: its paths, and what happens to a request from its first byte to its answer."""

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from machamp_lite.errors import did_you_mean
from machamp_lite.serving import metrics, openapi, pages
from machamp_lite.serving.batching import Batcher, Item
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.refusals import RefusedError, answer
from machamp_lite.serving.requests import (
    ConlluKind,
    PredictKind,
    input_items,
    read_json,
    read_query,
    record_items,
)
from machamp_lite.serving.served_model import ServedModel
from machamp_lite.serving.workers import Workers

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
# nginx answers with it if the client has gone. It is only counted.
CLIENT_GONE = 499


class PredictionServer:
    """The models of a server, each with its queue.

    With a ``token``, requests must have it. ``origins`` are those of other sites whose pages may send requests.
    With several ``workers``, processes predict, see ``Workers``.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        limits: Limits,
        token: str | None = None,
        origins: Sequence[str] = (),
        workers: int = 1,
    ) -> None:
        self.models = {model.name: model for model in models}
        self.limits, self.origins = limits, origins
        self._token, self._num_workers = token, workers
        self.metrics = metrics.ServerMetrics({name: partial(self._waiting, name) for name in self.models})
        self._batchers: dict[str, Batcher] = {}

    def app(self) -> Starlette:
        """The application that answers requests."""
        cors = Middleware(
            CORSMiddleware,
            allow_origins=self.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
        return Starlette(
            routes=self._routes(),
            middleware=[Middleware(_Counting, self.metrics), *([cors] if self.origins else [])],
            exception_handlers={HTTPException: answer},
            lifespan=self._lifespan,
        )

    def _waiting(self, name: str) -> int:
        batcher = self._batchers.get(name)
        return 0 if batcher is None else batcher.waiting

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """The time in which the models predict; it ends after the last request was answered."""
        workers = Workers(self.models, self._num_workers)
        for name in self.models:
            predict, watch = partial(workers.predict, name), partial(self.metrics.add_batch, name)
            self._batchers[name] = Batcher(predict, self._num_workers, limits=self.limits, watch=watch)
        tasks = [asyncio.create_task(batcher.run()) for batcher in self._batchers.values()]
        try:
            yield
        finally:
            # Also if a second Ctrl-C ends the server at once.
            self._batchers.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            workers.stop()

    def _routes(self) -> list[Route]:
        """All paths; those that show nothing of the models or of requests need no token."""
        return [
            Route("/", self._page),
            Route("/docs", self._docs),
            Route("/openapi.json", self._openapi),
            Route("/health", self._health),
            Route("/health/live", self._live),
            Route("/health/ready", self._health),
            Route("/models", self._protected(self._models)),
            Route("/metrics", self._protected(self._metrics)),
            Route("/predict", self._protected(self._predict), methods=["POST"]),
            Route("/predict/conllu", self._protected(self._predict_conllu), methods=["POST"]),
        ]

    def _protected(self, handler: Handler) -> Handler:
        """A handler that is only called for requests with the token, and not from the pages of other sites."""

        async def checked(request: Request) -> Response:
            try:
                self._check_access(request)
                return await handler(request)
            except ClientDisconnect:
                raise
            except Exception as error:
                return answer(request, error)

        return checked

    def _check_access(self, request: Request) -> None:
        site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
        if site in ("cross-site", "same-site") and not {origin, "*"} & set(self.origins):
            raise RefusedError(403, f"request: comes from a page of {origin}, expected one that --cors allows")
        if self._token is not None:
            given = request.headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                fault = "request: found no valid token, expected the header Authorization: Bearer TOKEN"
                raise RefusedError(401, fault, {"WWW-Authenticate": "Bearer"})

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(pages.try_page(needs_token=self._token is not None), headers=pages.HEADERS)

    async def _docs(self, request: Request) -> Response:
        return HTMLResponse(pages.docs_page(openapi.document(self.limits)), headers=pages.HEADERS)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(openapi.document(self.limits))

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _health(self, request: Request) -> Response:
        full = [name for name in self.models if self._waiting(name) >= self.limits.max_queue]
        is_ready = bool(self._batchers) and not full
        return JSONResponse({"live": True, "ready": is_ready}, status_code=200 if is_ready else 503)

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"models": [model.describe() for model in self.models.values()]})

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type=metrics.MEDIA_TYPE)

    async def _predict(self, request: Request) -> Response:
        body = read_json(await self._read(request))
        model, items = self._model(body.model), input_items(body, self.limits)
        dataset = model.dataset_of(body.dataset, [item.value for item in items])
        html = "text/html" in request.headers.get("accept", "")
        kind = PredictKind(dataset, None if body.tasks is None else tuple(body.tasks), body.top_k, html)
        found = await self._run(request, model, kind, items)
        if html:
            # Each can be scrolled with the keyboard.
            return HTMLResponse("".join(f'<article tabindex="0">{one}</article>' for one in found))
        content = f'{{"model":{json.dumps(model.name)},"predictions":[{",".join(found)}]}}'
        return Response(content, media_type="application/json")

    async def _predict_conllu(self, request: Request) -> Response:
        query = read_query(request.query_params)
        model, body = self._model(query.model), await self._read(request)
        # In a thread, because large files take a while.
        dataset, records = await asyncio.to_thread(model.read_file, body, query.dataset)
        kind, items = ConlluKind(dataset, query.topn), record_items(records, self.limits)
        predicted = iter(await self._run(request, model, kind, items))
        written = [next(predicted) if record.rows else record for record in records]
        return PlainTextResponse(model.write_file(dataset, written))

    def _model(self, name: str | None) -> ServedModel:
        """The model with this name, or the only one."""
        if name is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name not in self.models:
            found = "none" if name is None else f"'{name}'"
            expected = f"expected a name{did_you_mean(name or '', self.models)}"
            raise RefusedError(404, f"request: model: found {found}, {expected}")
        return self.models[name]

    async def _read(self, request: Request) -> bytes:
        """The body; raises ``RefusedError`` for one that is too large, before it is read, or too slow."""
        too_large = RefusedError(
            413, f"request: the body has more than {self.limits.max_bytes} bytes (--max_bytes); send several requests"
        )
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and int(length) > self.limits.max_bytes:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.timeout):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self.limits.max_bytes:
                        raise too_large
        except TimeoutError:
            fault = f"request: has not arrived after {self.limits.timeout:g} seconds (--timeout); send it again"
            raise RefusedError(408, fault) from None
        request.state.is_read = True
        return bytes(body)

    async def _run(self, request: Request, model: ServedModel, kind: Hashable, items: Sequence[Item]) -> list[Any]:
        """The results of a request's items; raises ``RefusedError`` if it takes too long."""
        try:
            async with asyncio.timeout(self.limits.timeout):
                return await unless_gone(request, self._batchers[model.name].predict(kind, items))
        except TimeoutError:
            limit = f"{self.limits.timeout:g} seconds (--timeout)"
            fault = f"server: not done after {limit}; send fewer sentences, or try again"
            raise RefusedError(504, fault, {"Retry-After": "1"}) from None


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of work, which is cancelled if the client closes the connection; then raises ``ClientDisconnect``."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


class _Counting:
    """Counts all requests with their answers and seconds; answers nothing to a client that has gone."""

    def __init__(self, app: ASGIApp, server_metrics: metrics.ServerMetrics) -> None:
        self._app, self._metrics = app, server_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), CLIENT_GONE

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            status = CLIENT_GONE
        finally:
            route = scope.get("route")
            path = "other" if route is None else route.path
            self._metrics.requests.add(path, str(status))
            self._metrics.seconds.add(path, value=time.perf_counter() - start)
