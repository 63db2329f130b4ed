"""The applications that are compared. Each answers the same two routes with the same functions.

- ``bare``: FastAPI alone.
- ``usual``: FastAPI inside the stack that teams usually put around it; its packages are in peers.txt.
- ``chassis``, ``chassis-1``, ``chassis-100``: a service with everything on, of whose requests none, 1 % and
  all are traced.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from fastapi import APIRouter, FastAPI

import budgets

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

ASGI = Callable[..., Any]

WORK_SECONDS = 0.001


def hello_path(number: int) -> str:
    """Return the path of a request; no two requests name one item, so that a cache of paths gains nothing."""
    return f"/items/{100_000 + number}"


def work_path(number: int) -> str:
    """Return the path of a request to the handler that works for a millisecond."""
    return f"/work/{100_000 + number}"


def router() -> APIRouter:
    """Return the routes of every subject: a hello-world and a handler that works for one millisecond."""
    routes = APIRouter()

    @routes.get("/items/{item_id}")
    async def read_item(item_id: int) -> dict[str, int]:
        return {"item_id": item_id}

    @routes.get("/work/{item_id}")
    async def work(item_id: int) -> dict[str, int]:
        until = perf_counter() + WORK_SECONDS
        while perf_counter() < until:
            pass
        return {"item_id": item_id}

    return routes


def bare() -> ASGI:
    """FastAPI as it comes."""
    app = FastAPI()
    app.include_router(router())
    return app


def usual() -> ASGI:
    """FastAPI inside the usual stack."""
    from usual import usual_stack

    app = FastAPI()
    app.include_router(router())
    return usual_stack(app)


def chassis(ratio: float | None = None, *, export: str = "nothing") -> ASGI:
    """Build a service with everything on.

    ``ratio`` is the part of requests that is traced, None for no tracing. ``export`` says what the thread
    behind the queue does with a span: ``nothing``, or all up to the bytes that would be sent (``encode``).
    """
    from chassis.app import create_app
    from chassis.logging import LoggingSettings
    from chassis.ratelimit import RateLimitSettings
    from chassis.service_settings import EnvironmentName, ServiceIdentity, ServiceSettings
    from chassis.tracing import TracingSettings

    if ratio is not None:
        _replace_exporter(export)
    settings = ServiceSettings(
        environment=EnvironmentName.PRODUCTION,
        service=ServiceIdentity(name="bench", version="1.0.0"),
        logging=LoggingSettings(format="json", level="INFO"),
        # In use for every request, and never used up.
        rate_limiting=RateLimitSettings(enabled=True, requests=1_000_000_000, window=60),
        tracing=TracingSettings(enabled=ratio is not None, ratio=1.0 if ratio is None else ratio),
    )
    service = create_app(settings, routers=[router()])
    if ratio is not None and export == "nothing" and service.environment.tracing.provider is not None:
        service.environment.tracing.provider.queue.convert = lambda span: span  # type: ignore[assignment,return-value]  # nobody reads it
    return service


SUBJECTS: dict[str, Callable[[], ASGI]] = {
    "bare": bare,
    "usual": usual,
    budgets.UNTRACED: chassis,
    budgets.ONE_PERCENT: lambda: chassis(0.01),
    budgets.EVERY_REQUEST: lambda: chassis(1.0),
    "chassis-100-export": lambda: chassis(1.0, export="encode"),
}


class Running:
    """An application in use without a server: started, called, stopped.

    ``async with Running(app) as running: await running.answer(scope_of("/items/1"))``.
    """

    def __init__(self, app: ASGI) -> None:
        self.app = app
        self.status = 0
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._started = asyncio.Event()
        self._lifespan: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the application as a server does."""
        await self._received.put({"type": "lifespan.startup"})
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._lifespan = asyncio.create_task(self.app(scope, self._received.get, self._lifespan_event))
        await self._started.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the application as a server does."""
        await self._received.put({"type": "lifespan.shutdown"})
        if self._lifespan is not None:
            await self._lifespan

    async def answer(self, scope: dict[str, Any]) -> None:
        """Answer one request; ``status`` is that of the last one."""
        await self.app(scope, _receive, self._send)

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]

    async def _lifespan_event(self, message: dict[str, Any]) -> None:
        if message["type"] != "lifespan.startup.complete":
            self.status = 0
        self._started.set()


def scope_of(path: str) -> dict[str, Any]:
    """Return the scope that uvicorn makes of a plain GET request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench/1.0"), (b"accept", b"*/*")],
        "state": {},
    }


def silence() -> None:
    """Let standard output, where the lines of the log go, be the null device. Results go elsewhere."""
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


class _Discarding:
    """Takes the place of the exporter, in the thread that exports. It can be sent what was encoded, or not."""

    def export(self, _: Sequence["ReadableSpan"]) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult

        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close nothing."""


class _DiscardingBytes(_Discarding):
    """The same, after the spans were encoded."""

    def send(self, _: bytes) -> bool:
        return True


def _replace_exporter(export: str) -> None:
    from chassis.tracing import pipeline

    exporter = _DiscardingBytes if export == "encode" else _Discarding
    pipeline.exporter_factory = lambda _: exporter  # type: ignore[assignment,return-value]  # no exporter to its type, but to its use
