"""Routes with bodies and dependencies of all kinds."""
# ruff: noqa: C901 - a list of routes, each of which is simple

from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Depends,
    Form,
    Header,
    HTTPException,
    Request,
    Response,
    Security,
)
from fastapi.requests import HTTPConnection
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer, SecurityScopes

from routed.models import RefusedError, Thing, shout


def bodies() -> APIRouter:
    router = APIRouter()

    @router.post("/thing")
    async def one(thing: Thing) -> Thing:
        return thing

    @router.post("/thing/{n}")
    async def with_path(n: int, thing: Thing, q: int = 1) -> list[Any]:
        return [n, thing, q]

    @router.post("/two")
    async def two(thing: Thing, other: Annotated[int, Body()]) -> list[Any]:
        return [thing, other]

    @router.post("/embedded")
    async def embedded(thing: Annotated[Thing, Body(embed=True)]) -> Thing:
        return thing

    @router.post("/optional")
    async def optional(thing: Thing | None = None) -> Thing | None:
        return thing

    @router.post("/raw")
    async def raw(data: Annotated[Any, Body()]) -> str:
        return repr(data)

    @router.post("/sync-thing")
    def sync_thing(thing: Thing) -> Thing:
        return thing

    @router.post("/list")
    async def loose(things: list[Thing]) -> int:
        return len(things)

    @router.post("/form")
    async def form(name: Annotated[str, Form()]) -> str:
        return name

    return router


def dependencies() -> APIRouter:
    numbers = count()

    async def fresh() -> int:
        return next(numbers)

    async def nested(
        n: int, loud: Annotated[str, Depends(shout)], again: Annotated[str, Depends(shout)]
    ) -> str:
        return f"{n}{loud}{again}"

    async def yielded(connection: HTTPConnection) -> AsyncIterator[str]:
        try:
            yield connection.url.path
        except RefusedError:
            raise HTTPException(418, "was refused") from None

    def sync_yielded() -> Iterator[int]:
        yield 5

    async def gate(x_key: Annotated[str, Header()]) -> None:
        if x_key != "open":
            raise HTTPException(403)

    def touch(response: Response, background: BackgroundTasks) -> None:
        response.headers["x-touched"] = "yes"
        response.set_cookie("a", "b")
        response.status_code = 202
        background.add_task(lambda: None)

    class Page:
        def __init__(self, limit: int = 3) -> None:
            self.limit = limit

    def scopes(scopes: SecurityScopes) -> list[str]:
        return scopes.scopes

    router = APIRouter(dependencies=[Depends(fresh)])

    @router.get("/nested/{n}")
    async def use_nested(text: Annotated[str, Depends(nested)], n: int, q: str = "own") -> list[Any]:
        return [text, n, q]

    @router.get("/count")
    async def cached(
        a: Annotated[int, Depends(fresh)],
        b: Annotated[int, Depends(fresh)],
        c: Annotated[int, Depends(fresh, use_cache=False)],
    ) -> list[int]:
        return [b - a, c - a]

    @router.get("/class")
    async def page(page: Annotated[Page, Depends()]) -> int:
        return page.limit

    @router.get("/yielded")
    async def use_yielded(
        a: Annotated[str, Depends(yielded)],
        b: Annotated[int, Depends(sync_yielded)],
        c: Annotated[int, Depends(sync_yielded, scope="function")],
        fail: bool = False,
    ) -> list[Any]:
        if fail:
            raise RefusedError("in the endpoint")
        return [a, b, c]

    @router.get("/gate", dependencies=[Depends(gate)])
    async def gated(n: int = 1) -> int:
        return n

    @router.get("/touched", dependencies=[Depends(touch)])
    async def touched() -> str:
        return "x"

    @router.get("/touched-response", dependencies=[Depends(touch)])
    async def touched_response() -> Response:
        return PlainTextResponse("x")

    @router.get("/key")
    async def key(
        found: Annotated[str | None, Security(APIKeyHeader(name="x-key", auto_error=False))],
    ) -> str:
        return str(found)

    @router.get("/token")
    async def token(found: Annotated[str, Security(OAuth2PasswordBearer("token"))]) -> str:
        return found

    @router.get("/scopes")
    async def use_scopes(found: Annotated[list[str], Security(scopes, scopes=["b", "a"])]) -> list[str]:
        return found

    @router.get("/request/{n}")
    async def request(request: Request, n: int, response: Response, background: BackgroundTasks) -> list[Any]:
        response.headers["x-from"] = "endpoint"
        return [
            request.url.path,
            request.path_params,
            n,
            sorted(map(str, request.scope)),
            str(type(background)),
        ]

    def thing_of(thing: Thing) -> Thing:
        return thing

    @router.post("/in-dependency")
    async def in_dependency(found: Annotated[Thing, Depends(thing_of)]) -> Thing:
        return found

    @router.post("/in-both")
    async def in_both(found: Annotated[Thing, Depends(thing_of)], other: Annotated[int, Body()]) -> list[Any]:
        return [found, other]

    return router
