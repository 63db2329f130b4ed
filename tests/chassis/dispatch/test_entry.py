"""What is compiled, and what is left to the framework."""

import contextlib
import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any
from unittest.mock import patch

import fastapi
import pydantic
import pytest
import starlette
from fastapi import APIRouter, FastAPI, Form, UploadFile
from fastapi import routing as fastapi_routing
from fastapi.exceptions import RequestValidationError
from fastapi.sse import EventSourceResponse
from log_capture import capture_logs
from routed import everything
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

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
    with patch.object(package, "__version__", "999.0.0"), capture_logs() as logs:
        assert compiled(app) == app.router.middleware_stack
    assert [(event["event"], event["reason"]) for event in logs] == [
        ("routes are not compiled", f"{package.__name__} 999.0.0 is not known")
    ]


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


def test_forms_files_streams_and_events_keep_their_handler() -> None:
    app = FastAPI(openapi_url=None)

    async def form(name: Annotated[str, Form()]) -> None:
        pass

    async def upload(file: UploadFile) -> None:
        pass

    async def lines() -> AsyncIterator[int]:
        yield 1

    for endpoint in (form, upload):
        app.post(f"/{endpoint.__name__}")(endpoint)
    app.get("/lines")(lines)
    app.get("/events", response_class=EventSourceResponse)(lines)
    entries = [found(app, "POST", "/form"), found(app, "POST", "/upload")]
    entries += [found(app, "GET", "/lines"), found(app, "GET", "/events")]
    assert all(entry.compiled is entry.app for entry in entries)


@pytest.mark.parametrize(
    ("asked", "reader"),
    [
        ("GET /headers/1", "parameters.request_params_to_args"),
        ("GET /model-query", "parameters.request_params_to_args"),
        ("POST /two", "body.request_body_to_args"),
    ],
)
async def test_what_is_rare_is_read_by_the_framework_s_own_functions(
    app: FastAPI, asked: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    module = importlib.import_module(f"chassis.dispatch.{reader.partition('.')[0]}")
    own = getattr(module, reader.partition(".")[2])

    def noting(*arguments: Any, **named: Any) -> Any:
        read.append(asked)
        return own(*arguments, **named)

    monkeypatch.setattr(module, reader.partition(".")[2], noting)
    method, path = asked.split(" ")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "app": app,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        pass

    with contextlib.suppress(RequestValidationError):
        await compiled(app)(scope, receive, send)
    assert set(read) == {asked}


async def test_what_is_replaced_after_the_application_was_built_is_not_seen() -> None:
    app = FastAPI(openapi_url=None)
    app.get("/a")(lambda: None)
    entry: Any = compiled(app)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def instrumented(**_: object) -> None:
        raise AssertionError("the compiled route does not call it")

    scope = {"type": "http", "method": "GET", "path": "/a", "query_string": b"", "headers": []}
    with patch.object(fastapi_routing, "run_endpoint_function", instrumented):
        await entry(scope, None, send)
    assert sent[0]["status"] == 200


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
