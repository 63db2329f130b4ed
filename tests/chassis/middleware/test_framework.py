"""Where the layer takes the place of the framework's own, and where it does not."""

import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import fastapi
import pytest
import starlette
from fastapi import FastAPI, HTTPException, Request
from log_capture import capture_logs
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.app import Service, create_app
from chassis.dispatch.dispatcher import Dispatcher
from chassis.middleware import Inside, RequestLayer, framework
from chassis.ratelimit import RateLimitSettings
from chassis.service_settings import ServiceSettings


def service(*, fast_path: bool = True) -> Service:
    app = create_app(ServiceSettings(rate_limiting=RateLimitSettings(enabled=False), fast_path=fast_path))

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> int:
        return item_id

    @app.post("/items")
    async def create(request: Request) -> int:
        return len(await request.body())

    return app


def is_inside(app: Service) -> bool:
    if app.middleware_stack is None:
        app.middleware_stack = app.build_middleware_stack()
    assert isinstance(app.middleware_stack, RequestLayer)
    return app.middleware_stack._inside is not None


@pytest.fixture
def logs() -> Iterator[list[object]]:
    with capture_logs() as events:
        yield events


def reasons(logs: list[dict[str, object]]) -> list[object]:
    return [event["reason"] for event in logs if "own layers" in str(event["event"])]


def test_a_usual_service_is_entered_directly(logs: list[dict[str, object]]) -> None:
    assert is_inside(service())
    assert reasons(logs) == []


@pytest.mark.parametrize(("package", "version"), [(fastapi, "0.166.0"), (starlette, "1.11.0")])
def test_an_unknown_version_keeps_its_layers_and_it_is_said_once(
    package: object, version: str, monkeypatch: pytest.MonkeyPatch, logs: list[dict[str, object]]
) -> None:
    monkeypatch.setattr(package, "__version__", version)
    app = service()
    client = TestClient(app)
    assert [client.get(f"/items/{number}").text for number in range(3)] == ["0", "1", "2"]
    assert not is_inside(app)
    assert len(reasons(logs)) == 1
    assert version in str(reasons(logs))


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that reach compiled routes."""
    paths: list[str] = []
    usual = Dispatcher.__call__

    def noting(self: Dispatcher, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        paths.append(scope["path"])
        return usual(self, scope, receive, send)

    monkeypatch.setattr(Dispatcher, "__call__", noting)
    return paths


def test_one_setting_leaves_everything_to_the_framework(
    logs: list[dict[str, object]], dispatched: list[str]
) -> None:
    app = service(fast_path=False)
    assert TestClient(app).get("/items/7").text == "7"
    assert not is_inside(app)
    assert reasons(logs) == ["FAST_PATH is false"]
    assert dispatched == []


def test_routes_are_compiled_behind_middleware_of_the_application_too(dispatched: list[str]) -> None:
    app = service()
    app.add_middleware(GZipMiddleware)
    assert TestClient(app).get("/items/7").text == "7"
    assert dispatched == ["/items/7"]


class Hiding:
    """Middleware that keeps the next application under a name of its own, and has no place for another."""

    __slots__ = ("wrapped",)

    def __init__(self, app: ASGIApp) -> None:
        self.wrapped = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.wrapped(scope, receive, send)


def test_middleware_that_hides_the_router_keeps_it(dispatched: list[str]) -> None:
    app = service()
    app.add_middleware(Hiding)
    assert TestClient(app).get("/items/7").text == "7"
    assert dispatched == []


def test_middleware_of_the_application_is_passed(logs: list[dict[str, object]]) -> None:
    app = service()

    @app.middleware("http")
    async def note(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["x-noted"] = "yes"
        return response

    app.add_middleware(GZipMiddleware, minimum_size=1)
    response = TestClient(app).get("/items/7", headers={"accept-encoding": "gzip"})
    assert (response.headers["x-noted"], response.headers["content-encoding"]) == ("yes", "gzip")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert reasons(logs) == ["the application adds GZipMiddleware, BaseHTTPMiddleware"]


def test_a_limit_that_the_application_gives_to_bodies_holds(logs: list[dict[str, object]]) -> None:
    app = service()
    app.max_body_size = 10
    response = TestClient(app).post("/items", content=b"x" * 11)
    assert response.status_code == 413
    assert len(reasons(logs)) == 1


def test_an_exception_of_middleware_is_a_problem() -> None:
    app = service()

    class Refusing(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: object) -> Response:
            raise HTTPException(403, "not here")

    app.add_middleware(Refusing)
    response = TestClient(app, raise_server_exceptions=False).get("/items/7")
    assert (response.status_code, response.json()["detail"]) == (403, "not here")


def test_the_framework_has_five_layers_around_its_router() -> None:
    app = FastAPI()
    found = []
    stack: Any = app.build_middleware_stack()
    while stack is not app.router:
        found.append(type(stack).__name__)
        stack = stack.app
    assert len(found) == 5
    assert tuple(found) == framework.KNOWN_LAYERS


def test_a_layer_of_an_instrumentation_is_passed(
    monkeypatch: pytest.MonkeyPatch, logs: list[dict[str, object]]
) -> None:
    usual = FastAPI.build_middleware_stack
    paths: list[str] = []

    class Instrumentation:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            paths.append(scope["path"])
            await self.app(scope, receive, send)

    monkeypatch.setattr(FastAPI, "build_middleware_stack", lambda app: Instrumentation(usual(app)))
    assert TestClient(service()).get("/items/7").text == "7"
    assert paths == ["/items/7"]
    assert reasons(logs) == ["the application adds Instrumentation"]


def test_a_request_does_not_take_the_framework_s_own_entrance(monkeypatch: pytest.MonkeyPatch) -> None:
    app = service()
    client = TestClient(app)
    assert client.get("/items/7").text == "7"  # the first one builds the layers
    monkeypatch.setattr(FastAPI, "__call__", None)
    assert client.get("/items/8").text == "8"


def test_the_traceback_of_a_crash_shows_the_layers_above_the_request() -> None:
    app = service()

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken") as caught:
        TestClient(FailingLoudly(app)).get("/crash")
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames.index("_fail") < frames.index("crash")


class FailingLoudly:
    """The application, which raises what its layer only logs."""

    def __init__(self, app: Service) -> None:
        self.app = app
        app.middleware_stack = app.build_middleware_stack()
        self.crashes: list[BaseException] = []
        app.middleware_stack.log_crash = self.crashes.append  # type: ignore[attr-defined]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if self.crashes:
            raise self.crashes.pop()


def test_a_router_can_be_stood_in_for() -> None:
    app = service()
    seen: list[str] = []

    async def entry(scope: object, receive: object, send: object) -> None:
        seen.append(scope["path"])  # type: ignore[index]
        await app.router(scope, receive, send)  # type: ignore[arg-type]

    stack = super(Service, app).build_middleware_stack
    app.middleware_stack = RequestLayer(
        stack(), app.environment.collaborators(), inside=Inside(app, stack, entry)
    )
    assert TestClient(app).get("/items/7").text == "7"
    assert seen == ["/items/7"]


def test_a_prefix_that_a_proxy_strips_is_in_urls() -> None:
    app = service()
    app.root_path = "/api"

    @app.get("/where")
    async def where(request: Request) -> str:
        return str(request.url_for("item", item_id=7))

    assert TestClient(app).get("/where").json() == "http://testserver/api/items/7"
