"""HTTP: routes made of the table of operations, bodies bounded in size and time, every error one line of JSON."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from benchproof import __version__
from benchproof.errors import Flooded, InvocationError, LabInvalid, NotSupported, TimedOut, one_line
from benchproof.sandboxd import api, handlers, openapi
from benchproof.sandboxd.guard import Guard
from benchproof.sandboxd.limits import Refused
from benchproof.sandboxd.sandboxes import Sandboxes
from benchproof.sandboxd.stages import Stages

_LOG = logging.getLogger(__name__)
_CONTROL_THREADS = 16
_CLOSES = {408, 413}  # what is left of such a request is not read
_STATUS = {NotSupported: 501, TimedOut: 504, Flooded: 422, LabInvalid: 507, InvocationError: 502}  # the first that fits
T = TypeVar("T")


class Mounted(NamedTuple):
    """Another ASGI application at `path`, and what has to be open as long as it serves."""

    path: str
    app: ASGIApp
    lifespan: Callable[[], AbstractAsyncContextManager[object]]


class Answer(NamedTuple):
    """What an operation gives back: a struct or bytes, and words for the log."""

    content: object
    noted: dict[str, object]


class App:
    """The operations of one daemon."""

    def __init__(self, sandboxes: Sandboxes, *, url: str, token: str = "") -> None:
        self._sandboxes = sandboxes
        self._limits = sandboxes.limits
        self._commands = ThreadPoolExecutor(self._limits.commands, thread_name_prefix="exec")
        self._control = ThreadPoolExecutor(_CONTROL_THREADS, thread_name_prefix="control")
        self._running = 0
        self._openapi = msgspec.json.encode(openapi.document(url=url, token=bool(token)))
        self._token = token

    def asgi(self, mounts: Sequence[Mounted] = ()) -> ASGIApp:
        """The whole application, behind its guard."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with AsyncExitStack() as open_mounts:
                for mount in mounts:
                    await open_mounts.enter_async_context(mount.lifespan())
                yield

        routes: list[BaseRoute] = [self._route(operation) for operation in api.OPERATIONS]
        routes.append(Route("/openapi.json", self._document, methods=["GET"]))
        routes += [Route(mount.path, mount.app) for mount in mounts]  # not Mount: it redirects to PATH/
        inner = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _unrouted})
        inner.router.redirect_slashes = False  # a path is what the description says, or nothing
        return Guard(inner, self._sandboxes, token=self._token)

    def _route(self, operation: api.Operation) -> Route:
        handler: Callable[[Request, Any], Awaitable[Answer]] = getattr(self, f"_{operation.id}")

        async def endpoint(request: Request) -> Response:
            stages = Stages()
            try:
                body = await self._body(request, operation)
                answer = await handler(request, body)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered as JSON, and logged
                return _refusal(error, operation.id, request)
            stages.lap("all")
            _note(operation.id, request, operation.status, stages, answer.noted)
            if isinstance(answer.content, bytes):
                return Response(answer.content, operation.status, media_type="application/octet-stream")
            return _json(answer.content, operation.status)

        return Route(operation.path, endpoint, methods=[operation.method])

    async def _body(self, request: Request, operation: api.Operation) -> Any:
        """What came with it. Raises Refused: 400, 408, 413."""
        if operation.body is None:
            return None
        content = await _read(request, self._limits.body_bytes, self._limits.body_s)
        if operation.body is bytes:
            return content
        try:
            return msgspec.json.decode(content or b"{}", type=operation.body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise Refused(400, f"body: {error}") from error

    async def _in(self, executor: ThreadPoolExecutor, function: Callable[..., T], *given: Any, **named: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, functools.partial(function, *given, **named))

    async def _document(self, request: Request) -> Response:
        del request
        return Response(self._openapi, media_type="application/json")

    async def _provision(self, request: Request, body: api.Provision) -> Answer:
        if body.image and body.origin:
            raise Refused(400, "expected image or from, not both")
        made = await asyncio.wrap_future(self._sandboxes.submit(body.name, body.image or "", body.origin))
        if await request.is_disconnected():  # nobody will ever delete it
            await self._in(self._control, self._sandboxes.delete, made.sandbox.name)
            raise ClientDisconnect
        noted = {"sandbox": made.sandbox.name, "from": made.sandbox.origin, **_in_ms(made.stages_ns)}
        return Answer(handlers.provisioned(made), noted)

    async def _exec(self, request: Request, body: api.Exec) -> Answer:
        if self._running >= self._limits.commands:
            raise Refused(503, f"{self._running} commands run already", step="queue", retry_after_s=1)
        stages = Stages()
        name = request.path_params["name"]
        self._running += 1
        try:
            done = await self._in(self._commands, handlers.execute, self._sandboxes, name, body, stages)
        finally:
            self._running -= 1
        return Answer(done, {"sandbox": name, "exit_status": done.exit_status, **_in_ms(done.stages_ns)})

    async def _put_file(self, request: Request, body: bytes) -> Answer:
        name, path = request.path_params["name"], request.query_params.get("path", "")
        mode = _mode(request.query_params.get("mode"))
        written = await self._in(self._control, self._sandboxes.put, name, path, body, mode=mode)
        return Answer(api.Written(path=written, size_bytes=len(body)), {"sandbox": name, "bytes": len(body)})

    async def _get_file(self, request: Request, _: None) -> Answer:
        name, path = request.path_params["name"], request.query_params.get("path", "")
        content = await self._in(self._control, self._sandboxes.get, name, path)
        return Answer(content, {"sandbox": name, "bytes": len(content)})

    async def _fork(self, request: Request, body: api.Fork) -> Answer:
        name = request.path_params["name"]
        forked = await self._in(self._control, handlers.fork, self._sandboxes, name, body, Stages())
        noted = {"sandbox": name, "image": forked.image, "bytes": forked.size_bytes, **_in_ms(forked.stages_ns)}
        return Answer(forked, noted)

    async def _images(self, request: Request, _: None) -> Answer:
        del request
        images = await self._in(self._control, lambda: [handlers.image(kept) for kept in self._sandboxes.images()])
        return Answer(api.Images(images=images), {})

    async def _delete_image(self, request: Request, _: None) -> Answer:
        name = request.path_params["image"]
        await self._in(self._control, self._sandboxes.delete_image, name)
        return Answer(api.ImageDeleted(image=name, gone=True), {"image": name})

    async def _delete(self, request: Request, _: None) -> Answer:
        name = request.path_params["name"]
        ended = await self._in(self._control, self._sandboxes.delete, name)
        answer = api.Deleted(name=name, gone=True, elapsed_ns=ended.elapsed_ns, complaint=ended.complaint)
        return Answer(answer, {"sandbox": name})

    async def _list(self, request: Request, _: None) -> Answer:
        del request
        return Answer(api.Sandboxes(sandboxes=[handlers.listed(each) for each in self._sandboxes.alive()]), {})

    async def _inspect(self, request: Request, _: None) -> Answer:
        name = request.path_params["name"]
        return Answer(await self._in(self._control, handlers.inspect, self._sandboxes, name), {"sandbox": name})

    async def _health(self, request: Request, _: None) -> Answer:
        del request
        health = api.Health(
            status="ok",
            version=__version__,
            backend=self._sandboxes.backend.kind,
            sandboxes=len(self._sandboxes.alive()),
            uptime_s=self._sandboxes.uptime_s,
        )
        return Answer(health, {})

    async def _pool_warm(self, request: Request, body: api.Pool) -> Answer:
        del request
        stats = await self._in(self._control, self._sandboxes.warm, body.size)
        return Answer(api.PoolStats(**msgspec.structs.asdict(stats)), {"size": stats.size, "ready": stats.ready})

    async def _pool_stats(self, request: Request, _: None) -> Answer:
        del request
        return Answer(api.PoolStats(**msgspec.structs.asdict(self._sandboxes.pool.stats())), {})


async def _read(request: Request, limit_bytes: int, limit_s: float) -> bytes:
    """The body. Raises Refused."""
    too_much = Refused(413, f"body: expected at most {limit_bytes} bytes")
    if int(request.headers.get("content-length") or 0) > limit_bytes:
        raise too_much
    content = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            async for chunk in request.stream():
                content += chunk
                if len(content) > limit_bytes:
                    raise too_much
    except TimeoutError as error:
        raise Refused(408, f"body: it did not arrive within {limit_s:g} s") from error
    return bytes(content)


def _mode(text: str | None) -> int | None:
    """Raises Refused."""
    if text is None:
        return None
    if not (text.isascii() and 3 <= len(text) <= 4 and set(text) <= set("01234567")) or int(text, 8) > 0o777:
        raise Refused(400, f"mode: expected three octal digits such as 644, found '{text[:20]}'")
    return int(text, 8)


def _json(content: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def _status(error: Exception) -> int:
    """Of HTTP, for a trouble that is expected; 500 is a bug of ours."""
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def _refusal(error: Exception, step: str, request: Request) -> Response:
    status = _status(error)
    words = str(error) if status != 500 or isinstance(error, Refused) else "a bug of the daemon; its log has more"
    if isinstance(error, Refused):
        step = error.step or step
    if isinstance(error, ClientDisconnect):
        _LOG.info("%s path=%s client=gone", step, request.url.path)
    elif status == 500:
        _LOG.error("%s path=%s status=500 error=%r", step, request.url.path, str(error), exc_info=error)
    else:
        _LOG.info("%s path=%s status=%d error=%r", step, request.url.path, status, words)
    retry_s = getattr(error, "retry_after_s", 0)
    headers = {"retry-after": str(retry_s)} if retry_s else {}
    headers |= {"connection": "close"} if status in _CLOSES else {}
    return _json(api.Error(error=words, step=step), status, headers)


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: f"no such path: '{request.url.path[:80]}'", 405: f"no {request.method} here"}
    content = api.Error(error=one_line(words.get(error.status_code, str(error.detail))), step="route")
    return _json(content, error.status_code, dict(error.headers or {}))


def _in_ms(stages_ns: dict[str, int]) -> dict[str, object]:
    return {f"{stage}_ms": f"{ns / 1e6:.3f}" for stage, ns in stages_ns.items()}


def _note(step: str, request: Request, status: int, stages: Stages, noted: dict[str, object]) -> None:
    """One structured line a request."""
    if _LOG.isEnabledFor(logging.INFO):
        all_ms = stages.done()["all"] / 1e6
        words = "".join(f" {name}={value}" for name, value in noted.items())
        _LOG.info("%s status=%d all_ms=%.3f%s", step or request.url.path, status, all_ms, words)
