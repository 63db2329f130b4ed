"""What is compiled, and what is left to the framework."""

import contextlib
import subprocess
import sys
from typing import Any
from unittest.mock import patch

import fastapi
import pydantic
import pytest
import starlette
from fastapi import APIRouter, FastAPI
from fastapi import routing as fastapi_routing
from log_capture import capture_logs
from routed import everything
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chassis.dispatch import compiled
from chassis.dispatch.framework import handler_of
from chassis.dispatch.table import RouteTable


def found(app: FastAPI, method: str, path: str) -> Any:
    by_method = RouteTable(app.router).by_method[method]
    if path in by_method.literals:
        return by_method.literals[path]
    match = by_method.match(path)
    return None if match is None else by_method.entries[match.lastindex]


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return everything()


@pytest.mark.parametrize(
    "asked",
    [
        *("GET /plain", "GET /users/7", "GET /query", "GET /headers/1", "GET /sync/1", "GET /shape/exclude"),
        *("GET /model-query", "GET /bodiless/204", "POST /thing", "POST /two", "POST /outer/v1/inner/raw"),
        *("GET /deps/nested/1", "GET /deps/yielded", "GET /deps/request/1", "GET /outer/deps/t/key"),
    ],
)
def test_an_ordinary_path_operation_is_compiled(app: FastAPI, asked: str) -> None:
    entry = found(app, *asked.split(" "))
    assert entry.compiled is not entry.app


@pytest.mark.parametrize(
    "asked",
    [
        "POST /form",
        "GET /lines",
        "GET /first/x",
        "GET /outer/v1/inner/timed/1",
        "GET /outer/v1/starlette/x",
    ],
)
def test_any_other_route_is_found_and_called_as_it_is(app: FastAPI, asked: str) -> None:
    entry = found(app, *asked.split(" "))
    assert entry.compiled is entry.app


@pytest.mark.parametrize("path", ["/below/plain", "/classy", "/mounted/after", "/behind/1", "/nowhere"])
def test_what_the_table_does_not_know_is_not_in_it(app: FastAPI, path: str) -> None:
    assert found(app, "GET", path) is None


@pytest.mark.parametrize("package", [fastapi, starlette, pydantic])
def test_a_version_that_was_not_read_routes_by_itself(package: Any) -> None:
    app = FastAPI()
    with patch.object(package, "__version__", "999.0.0"):
        assert compiled(app) == app.router.middleware_stack


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (fastapi_routing, "get_request_handler"),
        (fastapi_routing, "run_endpoint_function"),
        (fastapi_routing.APIRoute, "handle"),
        (Route, "handle"),
        (APIRouter, "app"),
    ],
)
def test_an_instrumented_framework_routes_by_itself(owner: Any, name: str) -> None:
    app = FastAPI()
    own = vars(owner)[name]

    def instrumented(*arguments: Any, **named: Any) -> Any:
        return own(*arguments, **named)

    with patch.object(owner, name, instrumented):
        assert compiled(app) == app.router.middleware_stack


def test_on_an_unknown_version_nothing_private_is_imported() -> None:
    program = """
import sys, fastapi
fastapi.__version__ = "999.0.0"
from chassis.dispatch import compiled
app = fastapi.FastAPI()
assert compiled(app) == app.router.middleware_stack
sys.exit(any(name in sys.modules for name in ("chassis.dispatch.framework", "chassis.dispatch.table")))
"""
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_another_router_routes_by_itself() -> None:
    class Own(APIRouter):
        pass

    app = FastAPI()
    app.router = Own()
    assert compiled(app) == app.router.middleware_stack


def test_a_limit_on_all_bodies_routes_by_itself() -> None:
    app = FastAPI(max_body_size=9)
    assert compiled(app) == app.router.middleware_stack


@contextlib.contextmanager
def convertor_named(name: str) -> Any:
    from starlette.convertors import CONVERTOR_TYPES

    class Own(StringConvertor):
        regex = "[a-z](?=b)b"

    register_url_convertor(name, Own())
    try:
        yield
    finally:
        del CONVERTOR_TYPES[name]


def test_nothing_is_known_behind_a_convertor_of_somebody_s_own() -> None:
    app = FastAPI(openapi_url=None)

    async def endpoint() -> None:
        pass

    with convertor_named("own"):
        for path in ("/before", "/x/{n:own}", "/after"):
            app.get(path)(endpoint)
    assert found(app, "GET", "/before") is not None
    assert found(app, "GET", "/after") is None


def test_a_handler_is_recognised_by_its_code() -> None:
    app = FastAPI()

    @app.get("/a", status_code=202)
    async def endpoint() -> None:
        pass

    own: Any = app.router.routes[-1].app  # type: ignore[attr-defined]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        await own(scope, receive, send)

    handler = handler_of(own)
    assert handler is not None
    assert handler["status_code"] == 202
    assert handler_of(wrapped) is None


async def test_a_websocket_and_a_lifespan_are_the_framework_s() -> None:
    app = FastAPI()
    kinds: list[str] = []
    entry: Any = compiled(app)

    async def own(scope: Scope, receive: Receive, send: Send) -> None:
        kinds.append(scope["type"])

    entry._own = own
    for kind in ("websocket", "lifespan"):
        await entry({"type": kind}, None, None)
    assert kinds == ["websocket", "lifespan"]


async def test_a_route_that_cannot_be_compiled_leaves_all_to_the_framework(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = FastAPI()
    asked: list[str] = []
    entry: Any = compiled(app)

    async def own(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])

    def broken(app: object) -> None:
        raise LookupError("broken")

    entry._own = own
    app.get("/a")(lambda: None)
    monkeypatch.setattr("chassis.dispatch.table.compile_endpoint", broken)
    with capture_logs() as logs:
        for _ in range(2):
            await entry({"type": "http", "method": "GET", "path": "/a"}, None, None)
    assert asked == ["/a", "/a"]
    assert [event["log_level"] for event in logs] == ["warning"]
