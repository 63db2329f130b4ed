"""Routes that do everything an application can do to a framework, added to any FastAPI application."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

from awkward_errors import (
    NOTES,
    ChainError,
    ChildError,
    LateError,
    OwnError,
    PanicError,
    ReadError,
    SlowError,
    SplitError,
    TrapError,
    add_handlers,
)
from awkward_sockets import add_sockets
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Form, HTTPException, Request, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

__all__ = ["add_routes"]

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


class Item(BaseModel):
    """A body."""

    name: str
    price: float


def add_routes(app: FastAPI) -> None:
    """Add all routes and the handlers of their errors."""
    add_handlers(app)
    for add in (_add_plain, _add_errors, _add_streams, _add_dependencies, _add_bodies):
        router = APIRouter()
        add(router)
        app.include_router(router)
    add_sockets(app, _resource)
    _add_neighbours(app)


def _add_plain(router: APIRouter) -> None:
    @router.get("/items/{item_id}")
    async def item(item_id: int, q: str | None = None) -> dict[str, Any]:
        return {"item_id": item_id, "q": q}

    @router.get("/sync")
    def sync() -> str:
        return TENANT.get()

    @router.get("/nothing", status_code=204)
    async def nothing() -> None: ...

    @router.get("/many-headers")
    async def many_headers() -> Response:
        response = PlainTextResponse("x", headers={f"x-header-{n}": "v" * 500 for n in range(100)})
        response.set_cookie("one", "1")
        response.set_cookie("two", "2")
        return response

    @router.get("/framed")
    async def framed() -> Response:
        return PlainTextResponse("x", headers={"X-Frame-Options": "SAMEORIGIN", "Cache-Control": "max-age=9"})

    @router.get("/seen")
    async def seen(request: Request) -> dict[str, Any]:
        return {
            "url": str(request.url),
            "base": str(request.base_url),
            "item": str(request.url_for("item", item_id=7)),
            "client": request.client,
            "headers": sum(len(name) + len(value) for name, value in request.headers.raw),
            "app": type(request.app).__mro__[-3].__name__,
        }

    @router.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(NOTES.append, "background")
        return "done"

    @router.get("/background-fails")
    async def background_fails(tasks: BackgroundTasks) -> str:
        tasks.add_task(_fail, "after the response")
        return "done"

    @router.get("/slashed/")
    async def slashed(q: str = "") -> str:
        return q


def _add_errors(router: APIRouter) -> None:
    @router.get("/refused-by-the-server/{name}")
    async def refused_by_the_server(name: str) -> Response:
        if name == "handler":
            raise SplitError("in two")
        return Response(headers={"x-split": "a\r\nb"}) if name == "header" else Response(status_code=600)

    errors: dict[str, BaseException] = {
        "own": OwnError("mine"),
        "child": ChildError("its"),
        "slow": SlowError("thread"),
        "chain": ChainError("chain"),
        "trap": TrapError("trap"),
        "late": LateError("late"),
        "value": ValueError("nobody expected this"),
        "group": ExceptionGroup("several", [ValueError("one"), OwnError("two")]),
        "exit": SystemExit(3),
        "panic": PanicError("in Rust"),
        "interrupt": KeyboardInterrupt(),
        "cancelled": asyncio.CancelledError(),
        "http": HTTPException(401, "who are you?", headers={"WWW-Authenticate": "Basic", "X-More": "1"}),
        "http-value": HTTPException(400, {"field": "name", "wrong": [1, 2]}),
        "http-500": HTTPException(500, "on purpose"),
        "http-410": HTTPException(410, "by status"),
        "http-304": HTTPException(304),
        "http-204": HTTPException(204, headers={"X-More": "1"}),
    }

    @router.get("/raise/{name}")
    async def raised(name: str) -> None:
        raise errors[name]

    @router.get("/raise-in-a-thread/{name}")
    def raised_in_a_thread(name: str) -> None:
        raise errors[name]

    @router.get("/not-a-response-model", response_model=Item)
    async def not_a_response_model() -> dict[str, str]:
        return {"name": "without a price"}

    @router.get("/started/{name}")
    async def started(name: str) -> Response:
        return _Started(errors[name])


class _Started(Response):
    def __init__(self, error: BaseException) -> None:
        super().__init__(b"")
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-started", b"1")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise self._error


def _add_streams(router: APIRouter) -> None:
    @router.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(_chunks(5), media_type="text/plain")

    @router.get("/stream-in-a-thread")
    def stream_in_a_thread() -> StreamingResponse:
        return StreamingResponse((b"%d" % number for number in range(3)), background=BackgroundTask(_noted))

    @router.get("/stream-fails/{after}")
    async def stream_fails(after: int) -> StreamingResponse:
        return StreamingResponse(_chunks(5, fail_after=after))

    @router.get("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterator[ServerSentEvent]:
        for number in range(3):
            yield ServerSentEvent(data={"number": number}, id=str(number))

    @router.get("/lines")
    async def lines() -> AsyncIterator[Item]:
        for number in range(3):
            yield Item(name="x", price=number)

    @router.get("/stream-uses-dependency")
    async def stream_uses(resource: Annotated[str, Depends(_resource)]) -> StreamingResponse:
        return StreamingResponse(_chunks(2, note=resource))


async def _chunks(number: int, fail_after: int = -1, note: str = "") -> AsyncIterator[bytes]:
    try:
        for each in range(number):
            if each == fail_after:
                raise ValueError("half-way")
            yield b"chunk %d %s\n" % (each, note.encode())
    finally:
        NOTES.append("stream ended")


async def _resource() -> AsyncIterator[str]:
    NOTES.append("opened")
    try:
        yield "resource"
    except Exception as error:
        NOTES.append(f"failed with {type(error).__name__}")
        raise
    finally:
        NOTES.append("closed")


def _resource_in_a_thread() -> Iterator[str]:
    NOTES.append("opened")
    yield "thread"
    NOTES.append("closed")


async def _fails_at_exit() -> AsyncIterator[str]:
    yield "x"
    raise ValueError("at exit")


async def _refuses_at_exit() -> AsyncIterator[str]:
    yield "x"
    raise HTTPException(402, "at exit")


async def _translates() -> AsyncIterator[None]:
    try:
        yield
    except ValueError as error:
        raise HTTPException(422, f"translated: {error}") from error


async def _swallows() -> AsyncIterator[None]:
    with contextlib.suppress(ValueError):
        yield


async def _names_tenant() -> AsyncIterator[None]:
    token = TENANT.set("acme")
    yield
    NOTES.append(f"tenant {TENANT.get()}")
    TENANT.reset(token)


async def _refuses() -> None:
    raise OwnError("in a dependency")


def _add_dependencies(router: APIRouter) -> None:
    each = {
        "resource": _resource,
        "thread": _resource_in_a_thread,
        "fails-at-exit": _fails_at_exit,
        "refuses-at-exit": _refuses_at_exit,
        "translates": _translates,
        "swallows": _swallows,
        "tenant": _names_tenant,
        "refuses": _refuses,
    }
    for name, dependency in each.items():
        for ending in ("returns", "raises"):
            router.add_api_route(
                f"/dependency/{name}/{ending}",
                _returns if ending == "returns" else _raises,
                dependencies=[Depends(dependency)],
            )
    router.add_api_route(
        "/dependency/function-scope",
        _raises,
        dependencies=[Depends(_resource, scope="function"), Depends(_names_tenant)],
    )
    router.add_api_route("/hang", _hangs, dependencies=[Depends(_resource)])


async def _hangs() -> None:
    await asyncio.Event().wait()


async def _returns() -> str:
    return TENANT.get()


async def _raises() -> str:
    raise ValueError(f"of {TENANT.get()}")


def _add_bodies(router: APIRouter) -> None:
    @router.post("/items")
    async def create(item: Item) -> Item:
        return item

    @router.post("/form")
    async def form(name: Annotated[str, Form()]) -> str:
        return name

    @router.post("/upload")
    async def upload(file: UploadFile) -> dict[str, Any]:
        close = file.file.close
        file.file.close = lambda: (NOTES.append("file closed"), close())[1]  # type: ignore[method-assign]
        return {"name": file.filename, "size": len(await file.read())}

    @router.post("/upload-fails")
    async def upload_fails(file: UploadFile) -> None:
        file.file.close = lambda: NOTES.append("file closed")  # type: ignore[method-assign]
        raise ValueError("with a file open")

    @router.post("/raw")
    async def raw(request: Request) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    @router.post("/left")
    async def left(request: Request) -> bool:
        await request.body()
        return await request.is_disconnected()


def _add_neighbours(app: FastAPI) -> None:
    """Add what is not a route of FastAPI."""
    inner = APIRouter(prefix="/inner")
    inner.add_api_route("/{number}", lambda number: number)
    outer = APIRouter(prefix="/outer", dependencies=[Depends(_names_tenant)])
    outer.include_router(inner)
    app.include_router(outer, prefix="/v1")

    below = FastAPI()
    below.add_api_route("/items/{item_id}", _typed)
    below.add_api_route("/value", _raises)
    below.add_api_route("/own", _refuses)
    app.mount("/below", below)

    app.mount("/silent", _silent)
    app.mount("/broken", _broken)
    app.mount("/refusing", _refusing)
    app.mount("/own-error", _own_error)
    app.mount("/reading", _reading)
    app.router.routes.append(Route("/starlette", _plain, methods=["GET"]))
    app.router.routes.append(Route("/starlette-fails", _plain_fails, methods=["GET"]))


async def _typed(item_id: int) -> int:
    return item_id


async def _plain(_: Request) -> Response:
    return PlainTextResponse("plain")


async def _plain_fails(_: Request) -> Response:
    raise ValueError("plain")


async def _silent(scope: Scope, receive: Receive, send: Send) -> None: ...


async def _broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("outside of any route")


async def _refusing(scope: Scope, receive: Receive, send: Send) -> None:
    raise HTTPException(451, "outside of any route", headers={"X-Why": "law"})


async def _own_error(scope: Scope, receive: Receive, send: Send) -> None:
    raise OwnError("outside of any route")


async def _reading(scope: Scope, receive: Receive, send: Send) -> None:
    raise ReadError


def _noted() -> None:
    NOTES.append("in the background")


def _fail(text: str) -> None:
    sys.stdout.flush()
    raise ValueError(text)
