"""An application with all of these routes, in routers, in mounts and beside them."""
# ruff: noqa: C901 - a list of routes, each of which is simple

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Host, Mount, Route

from routed.inputs import bodies, dependencies
from routed.models import RefusedError
from routed.parameters import parameters
from routed.responses import responses


class Timed(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        own = super().get_route_handler()

        async def handler(request: Request) -> Response:
            response = await own(request)
            response.headers["x-timed"] = "yes"
            return response

        return handler


class Reversed(APIRoute):
    def matches(self, scope: Any) -> Any:
        return super().matches({**scope, "path": scope["path"][::-1]})


class Classy(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("classy")


async def starlette_endpoint(request: Request) -> Response:
    return PlainTextResponse(f"{request.path_params} {sorted(map(str, request.scope))}")


def everything(**options: Any) -> FastAPI:
    """Return an application with routes of all kinds."""
    app = FastAPI(**options)

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return JSONResponse(
            {"refused": str(error), "path": request.url.path, "body": (await request.body()).decode()}, 400
        )

    @app.exception_handler(LookupError)
    def broken(_request: Request, error: LookupError) -> Response:
        raise ValueError("the handler failed") from error

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        seen = [error.errors(), error.body, error.endpoint_ctx, await request.body()]
        return PlainTextResponse(repr(seen), 422)

    @app.exception_handler(ResponseValidationError)
    async def wrong(_request: Request, error: ResponseValidationError) -> Response:
        return PlainTextResponse(repr([error.errors(), error.body, error.endpoint_ctx]), 500)

    @app.get("/")
    async def root() -> str:
        return "root"

    app.add_route("/first/{name}", starlette_endpoint)
    app.add_route("/classy", Classy)  # type: ignore[arg-type]
    app.include_router(parameters())

    @app.get("/direct/{n}")
    async def direct(n: int) -> int:
        return n

    app.include_router(responses(), tags=["r"])
    inner = APIRouter(prefix="/inner", route_class=Timed)
    inner.include_router(bodies())

    @inner.get("/timed/{n}")
    async def timed(n: int) -> int:
        return n

    inner.add_route("/starlette/{name}", starlette_endpoint)
    outer = APIRouter(prefix="/outer", default_response_class=HTMLResponse)
    outer.include_router(inner, prefix="/v1")
    outer.include_router(dependencies(), prefix="/deps/{tenant}")

    @outer.get("/page")
    async def page() -> str:
        return "<p>"

    @outer.get("/{anything}")
    async def anything(anything: str) -> str:
        return anything

    app.include_router(outer)
    app.include_router(dependencies(), prefix="/deps")
    app.include_router(bodies())

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    below = FastAPI()
    below.include_router(parameters())
    app.mount("/below", below)
    app.router.routes.append(Mount("/mounted", Starlette(routes=[Route("/{name}", starlette_endpoint)])))

    @app.get("/mounted/after")
    async def hidden() -> str:
        return "hidden"

    @app.get("/after/{n}")
    async def after(n: int) -> int:
        return n

    app.router.routes.append(Host("other.test", Starlette(routes=[Route("/{name}", starlette_endpoint)])))

    @app.get("/behind/{n}")
    async def behind(n: int) -> int:
        return n

    special = APIRouter(route_class=Reversed)
    special.get("/abc")(behind)
    app.include_router(special)
    return app
