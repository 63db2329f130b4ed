"""Which services have threads ready before their first request."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.security import HTTPBearer
from starlette.endpoints import HTTPEndpoint
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from chassis.dispatch import prepare_threads, threads

pytestmark = pytest.mark.anyio


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is noted when threads are made ready."""
    noted: list[str] = []

    async def checkpoint() -> None:
        noted.append("ready")
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(threads, "checkpoint", checkpoint)
    return noted


async def waits() -> None: ...


async def yields() -> AsyncIterator[None]:
    yield


def blocks() -> None: ...


def blocks_and_yields() -> Iterator[None]:
    yield


async def waits_for_one_that_blocks(_: None = Depends(blocks)) -> None: ...


async def answers(_: Any) -> Response:
    return Response()


class Waits:
    async def __call__(self) -> None: ...


class Blocks:
    def __call__(self) -> None: ...


class Foreign(BaseRoute):
    """A route of another library, which has dependants of its own."""

    dependant = "none of FastAPI's"


def routes_of(endpoint: Callable[..., Any], *dependencies: Callable[..., Any]) -> list[BaseRoute]:
    """Return the routes of an application that includes a router of a router with one route."""
    app, outer, inner = FastAPI(openapi_url=None), APIRouter(), APIRouter(prefix="/inner")
    inner.get("/", response_model=None, dependencies=[Depends(each) for each in dependencies])(endpoint)
    outer.include_router(inner)
    app.include_router(outer)
    return app.routes


@pytest.mark.parametrize("routes", [[], routes_of(waits, waits, yields, HTTPBearer()), [Route("/", answers)]])
async def test_a_service_that_is_async_throughout_needs_none(
    routes: list[BaseRoute], prepared: list[str]
) -> None:
    await prepare_threads(routes)
    assert prepared == []


@pytest.mark.parametrize(
    "routes",
    [
        routes_of(blocks),
        routes_of(yields),
        routes_of(functools.partial(blocks)),
        routes_of(Blocks()),
        routes_of(waits, blocks),
        routes_of(waits, Waits),
        routes_of(waits, blocks_and_yields),
        routes_of(waits, waits_for_one_that_blocks),
        [Route("/", lambda _: Response())],
        [Route("/", HTTPEndpoint)],
        [Mount("/static", StaticFiles(directory="."))],
        [Foreign()],
    ],
)
async def test_one_that_may_block_has_them_ready(routes: list[BaseRoute], prepared: list[str]) -> None:
    await prepare_threads(routes)
    assert prepared == ["ready"]


async def test_what_the_router_depends_on_counts(prepared: list[str]) -> None:
    app = FastAPI(openapi_url=None, dependencies=[Depends(blocks)])
    app.get("/", response_model=None)(waits)
    await prepare_threads(app.routes)
    assert prepared == ["ready"]


@pytest.mark.parametrize(("dependency", "expected"), [(waits, []), (blocks, ["ready"])])
async def test_websockets_count(
    dependency: Callable[..., Any], expected: list[str], prepared: list[str]
) -> None:
    app = FastAPI(openapi_url=None)

    @app.websocket("/", dependencies=[Depends(dependency)])
    async def talk(_: WebSocket) -> None: ...

    await prepare_threads(app.routes)
    assert prepared == expected
