"""A client of an application in the same process."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from chassis.testing import connect


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(request.url))


async def crash(_: Request) -> PlainTextResponse:
    raise RuntimeError


def app(started: list[str]) -> Starlette:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(_: Starlette) -> object:  # type: ignore[misc]  # the type of an async generator is Starlette's concern
        started.append("started")
        yield

    return Starlette(routes=[Route("/hello", hello), Route("/crash", crash)], lifespan=lifespan)


async def test_the_client_speaks_to_the_running_application() -> None:
    started: list[str] = []
    async with connect(app(started)) as client:
        response = await client.get("/hello")
    assert response.text == "http://testserver/hello"
    assert started == ["started"]


async def test_a_crash_is_a_500_as_on_the_wire() -> None:
    async with connect(app([])) as client:
        assert (await client.get("/crash")).status_code == 500


async def test_a_second_client_does_not_start_it_again() -> None:
    started: list[str] = []
    service = app(started)
    async with connect(service), connect(service, lifespan=False) as client:
        assert (await client.get("/hello")).status_code == 200
    assert started == ["started"]
