"""Applications of any framework inside the request layer."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI, HTTPException, Request
from flask import Flask, abort, request
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis import context
from chassis.bundle import Environment
from chassis.health import HealthCheck
from chassis.lifecycle import StartupError
from chassis.metrics import MetricsSettings
from chassis.ratelimit import RateLimitSettings
from chassis.security import SecuritySettings
from chassis.service_settings import EnvironmentName, ServerSettings, ServiceSettings
from chassis.settings import load
from chassis.testing import capture_logs
from chassis.testing.client import connect
from chassis.testing.metrics_reader import MetricsReader
from chassis.tracing import TracingSettings
from chassis.wrapping import Wrapped, django_templates, flask_templates, wrap

SETTINGS = ServiceSettings(rate_limiting=RateLimitSettings(enabled=False))
ID = "caller-0123456789abcdef"


def flask_application() -> Wrapped:
    app = Flask("shop")

    @app.get("/orders/<int:number>")
    def order(number: int) -> dict[str, object]:
        logging.getLogger("shop").warning("looked up")
        return {"order": number, "bound": dict(context.current()), "client": request.remote_addr}

    @app.get("/crash")
    def crash() -> None:
        abort(500)

    return wrap(WSGIMiddleware(app, workers=20), SETTINGS, templates=flask_templates(app))


def django_application() -> Wrapped:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    def order(request: HttpRequest, number: int) -> JsonResponse:
        logging.getLogger("shop").warning("looked up")
        client = request.META["REMOTE_ADDR"]
        return JsonResponse({"order": number, "bound": dict(context.current()), "client": client})

    def crash(request: HttpRequest) -> JsonResponse:
        return JsonResponse({}, status=500)

    class Urls:
        urlpatterns = (path("orders/<int:number>", order), path("crash", crash))

    if not settings.configured:
        settings.configure(SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls, LOGGING_CONFIG=None)
        django.setup()
    return wrap(get_asgi_application(), SETTINGS, templates=django_templates())


every_framework = pytest.mark.parametrize("build", [flask_application, django_application])


@every_framework
async def test_a_request_has_an_id_a_log_line_and_metrics(build: Callable[[], Wrapped]) -> None:
    app = build()
    with capture_logs(SETTINGS.logging, service="shop", environment="development") as logs:
        async with connect(app) as client:
            response = await client.get("/orders/7", headers={"X-Request-ID": ID})
            missing = await client.get("/orders/none")
            crashed = await client.get("/crash")
    assert response.json()["order"] == 7
    assert response.json()["bound"]["request_id"] == ID
    assert response.headers["x-request-id"] == ID
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (missing.status_code, crashed.status_code) == (404, 500)
    written = [event for event in logs.events if event["logger"] == "shop"]
    assert [(event["event"], event["request_id"]) for event in written] == [("looked up", ID)]
    lines = [event for event in logs.events if event["event"] == "request"]
    assert [line["path"] for line in lines] == ["/orders/7", "/orders/none", "/crash"]
    access = {line["path"]: line["route"] for line in lines}
    assert access["/orders/7"] == "/orders/<int:number>"
    assert access["/orders/none"] == "unmatched"
    metrics = MetricsReader(app.environment.metrics)
    labels = {"method": "GET", "route": "/orders/<int:number>", "status": "200"}
    assert metrics.value("service_requests_total", **labels) == 1


async def test_a_request_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr("chassis.tracing.pipeline.exporter_factory", lambda _: lambda: exporter)
    settings = SETTINGS.model_copy(update={"tracing": TracingSettings(enabled=True)})
    async with connect(wrap(silent, settings)) as client:
        await client.get("/any", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert [f"{span.context.trace_id:032x}" for span in exporter.get_finished_spans()] == ["a" * 32]


async def test_requests_of_flask_take_a_thread_each() -> None:
    app, together = Flask("shop"), threading.Barrier(3)

    @app.get("/wait")
    def wait() -> str:
        together.wait(30)
        return threading.current_thread().name

    async with connect(wrap(WSGIMiddleware(app, workers=20), SETTINGS)) as client:
        answers = await asyncio.gather(*(client.get("/wait") for _ in range(3)))
    assert len({answer.text for answer in answers} | {threading.current_thread().name}) == 4


# The server of the chassis configures logging before it builds the application.
DJANGO = """
import asyncio

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

from chassis.logging import LoggingSettings, configure_logging

configure_logging(LoggingSettings(), service="service", environment="development")
settings.configure(DEBUG={debug}, SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__{more})
urlpatterns = [path("orders", lambda request: None)]

from chassis.service_settings import ServiceSettings
from chassis.testing.client import connect
from chassis.wrapping import wrap


async def main():
    async with connect(wrap(get_asgi_application(), ServiceSettings())) as client:
        await client.get("/none")


asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("debug", "more", "own"),
    [(True, ", LOGGING_CONFIG=None", False), (True, "", True), (False, "", False)],
)
def test_django_writes_lines_of_its_own_in_debug_unless_its_logging_is_off(
    debug: bool, more: str, own: bool
) -> None:
    program = DJANGO.format(debug=debug, more=more)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ("Not Found: /none\n" in done.stderr.splitlines(keepends=True)) is own


@pytest.mark.parametrize(
    ("templates", "route"), [(None, "unmatched"), (lambda scope: f"/{scope['method']}/x", "/GET/x")]
)
async def test_a_function_finds_the_route_of_another_framework(templates: Any, route: str) -> None:
    app = wrap(silent, SETTINGS, templates=templates)
    with capture_logs() as logs:
        async with connect(app) as client:
            await client.get("/any/7")
    assert MetricsReader(app.environment.metrics).labels("service_requests_total", "route") == {route}
    assert logs.one("request")["route"] == route


async def test_routes_of_starlette_are_known() -> None:
    app = wrap(Starlette(routes=[Route("/items/{number}", lambda _: PlainTextResponse("x"))]), SETTINGS)
    async with connect(app) as client:
        await client.get("/items/7")
    assert MetricsReader(app.environment.metrics).labels("service_requests_total", "route") == {
        "/items/{number}"
    }


def broken_flask() -> ASGIApp:
    app = Flask("shop")

    @app.get("/crash")
    def crash() -> None:
        raise RuntimeError("no database")

    return WSGIMiddleware(app)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("no database")


@pytest.mark.parametrize(
    ("inside", "form"), [(broken_flask(), "text/html"), (broken, "application/problem+json")]
)
async def test_a_crash_is_answered_by_the_framework_or_by_the_layer(inside: ASGIApp, form: str) -> None:
    app = wrap(inside, SETTINGS)
    async with connect(app) as client:
        answer = await client.get("/crash")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (500, form)
    assert MetricsReader(app.environment.metrics).value("service_requests_total", status="500") == 1


@every_framework
async def test_health_and_metrics_are_answered_beside_it(build: Callable[[], Wrapped]) -> None:
    async with connect(build()) as client:
        answers = [await client.get(f"/{path}") for path in ("health", "health/live", "health/ready")]
        answers += [await client.get("/health/detailed"), await client.get("/metrics")]
        refused = await client.delete("/metrics")
    assert [answer.status_code for answer in answers] == [200] * 5
    assert "service_build_info" in answers[-1].text
    assert (refused.status_code, refused.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


async def test_metrics_that_are_switched_off_leave_their_path_to_the_application() -> None:
    app = FastAPI()

    @app.get("/metrics")
    async def own_metrics() -> str:
        return "mine"

    settings = SETTINGS.model_copy(update={"metrics": MetricsSettings(enabled=False)})
    async with connect(wrap(app, settings)) as client:
        assert (await client.get("/metrics")).json() == "mine"


def fastapi_application(steps: list[str]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        steps.append("opened")
        yield {"pool": "open"}
        steps.append("closed")

    app = FastAPI(lifespan=lifespan)

    @app.get("/orders/{number}", name="order")
    async def order(number: int, request: Request) -> dict[str, object]:
        if number == 0:
            raise RuntimeError("password=hunter22")
        url = request.url_for("order", number=number)
        return {"pool": request.state.pool, "url": str(url)}

    @app.get("/metrics")
    async def own_metrics() -> str:
        return "mine"

    return app


async def test_a_fastapi_application_keeps_its_lifespan_state_and_urls() -> None:
    steps: list[str] = []
    app = wrap(fastapi_application(steps), SETTINGS)
    app.environment.lifecycle.on_drain("drain", lambda: steps.append("draining"))
    state: dict[str, object] = {}

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the state on, as servers do and the client of the testing kit does not."""
        scope["state"] = state if scope["type"] == "lifespan" else dict(state)
        await app(scope, receive, send)

    async with connect(served) as client:
        answer = (await client.get("/orders/7")).json()
        metrics = (await client.get("/metrics")).text
        docs = await client.get("/docs")
    assert answer["pool"] == "open"
    assert answer["url"].endswith("/orders/7")
    assert 'route="/orders/{number}"' in metrics
    assert "cdn" not in docs.text
    assert steps == ["opened", "draining", "closed"]
    assert app.environment.lifecycle.state == "stopped"


async def test_a_crash_is_logged_masked_and_counted() -> None:
    app = wrap(fastapi_application([]), SETTINGS)
    with capture_logs(SETTINGS.logging, service="shop", environment="development") as logs:
        async with connect(app) as client:
            response = await client.get("/orders/0")
    assert response.status_code == 500
    crashes = [event for event in logs.events if event["event"] == "request crashed"]
    assert len(crashes) == 1
    assert "hunter22" not in json.dumps(logs.events, default=str)
    assert MetricsReader(app.environment.metrics).value(
        "service_errors_total", component="request", type="RuntimeError"
    )


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Knows requests and nothing else, as the shortest ASGI applications do."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def test_an_application_without_a_lifespan_is_served() -> None:
    app = wrap(silent, SETTINGS)
    async with connect(app) as client:
        assert (await client.get("/any")).status_code == 204
        assert (await client.get("/health/ready")).status_code == 200


async def test_an_application_that_does_not_start_stops_the_service() -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    app = wrap(FastAPI(lifespan=lifespan), SETTINGS)
    with pytest.raises(StartupError, match="no database"):
        async with app.environment.lifecycle.running():
            pass


async def test_an_application_that_does_not_stop_well_is_logged() -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        raise RuntimeError("lost connection")

    app = wrap(FastAPI(lifespan=lifespan), SETTINGS)
    with capture_logs(SETTINGS.logging, service="shop", environment="development") as logs:
        async with app.environment.lifecycle.running():
            pass
    assert [event["part"] for event in logs.events if event["event"] == "close failed"] == ["application"]


async def test_a_start_that_is_given_up_ends_the_application() -> None:
    asked = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        asked.set()
        await asyncio.Event().wait()

    app = wrap(slow, SETTINGS)

    async def start() -> None:
        async with app.environment.lifecycle.running():
            pass

    starting = asyncio.create_task(start())
    await asked.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [task for task in asyncio.all_tasks() if task.get_name() == "lifespan of the application"] == []


async def test_limits_hold_for_the_application_and_not_for_probes() -> None:
    settings = ServiceSettings(
        rate_limiting=RateLimitSettings(requests=1), security=SecuritySettings(max_body_bytes=10)
    )
    async with connect(wrap(silent, settings)) as client:
        answers = [(await client.get(path)).status_code for path in ("/one", "/two", "/health/live")]
        assert answers == [204, 429, 200]
    quiet = settings.model_copy(update={"rate_limiting": SETTINGS.rate_limiting})
    async with connect(wrap(silent, quiet)) as client:
        assert (await client.post("/any", content=b"x" * 11)).status_code == 413


async def test_operations_move_to_a_management_port() -> None:
    app = wrap(silent, ServiceSettings(server=ServerSettings(management_port=9090)))
    assert app.management is not None
    async with connect(app) as client, connect(app.management, lifespan=False) as operator:
        assert (await client.get("/metrics")).status_code == 204
        assert (await client.get("/health/ready")).status_code == 200
        assert (await operator.get("/metrics")).status_code == 200
        assert (await client.get("/health/detailed")).status_code == 204
        assert (await operator.get("/health/detailed")).status_code == 200


OPERATIONS = ("/health", "/health/live", "/health/ready", "/health/detailed", "/metrics")


def plain_application() -> FastAPI:
    """An application with what the standard has too, and answers and errors of its own."""
    app = FastAPI()
    for path in OPERATIONS:
        app.add_api_route(path, lambda: "mine")

    @app.get("/orders/{number}")
    async def order(number: int) -> PlainTextResponse:
        if number == 0:
            raise HTTPException(404, detail={"reason": "no such order"})
        return PlainTextResponse("x", headers={"Content-Security-Policy": "default-src *"})

    return app


@pytest.mark.parametrize(("port", "kept"), [(None, []), (9090, ["/health/detailed", "/metrics"])])
async def test_routes_of_the_standard_stand_before_the_application_s(
    port: int | None, kept: list[str]
) -> None:
    settings = SETTINGS.model_copy(update={"server": ServerSettings(management_port=port)})
    async with connect(wrap(plain_application(), settings)) as client:
        answers = {path: (await client.get(path)).text for path in OPERATIONS}
    assert [path for path, text in answers.items() if text == '"mine"'] == kept


@pytest.mark.parametrize("path", ["/none", "/orders/0", "/orders/x"])
async def test_errors_of_the_application_keep_their_form(path: str) -> None:
    async with connect(plain_application(), lifespan=False) as client:
        before = await client.get(path)
    async with connect(wrap(plain_application(), SETTINGS)) as client:
        after = await client.get(path)
    assert (after.status_code, after.content) == (before.status_code, before.content)
    assert after.headers["content-type"] == before.headers["content-type"]


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({}, "ratelimit-policy", '"default";q=100;w=60'),
        ({"RATE_LIMIT_REQUESTS": "5"}, "ratelimit-policy", '"default";q=5;w=60'),
        ({"RATE_LIMITING_ENABLED": "false"}, "ratelimit-policy", None),
        ({}, "content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        (
            {"CONTENT_SECURITY_POLICY": "default-src 'self'"},
            "content-security-policy",
            "default-src 'self'",
        ),
    ],
)
async def test_what_clients_see_is_set_by_variables(
    environ: dict[str, str], field: str, value: str | None, tmp_path: Path
) -> None:
    settings = load(ServiceSettings, environ=environ, directory=tmp_path)
    async with connect(wrap(silent, settings)) as client:
        assert (await client.get("/any")).headers.get(field) == value


async def test_a_policy_of_the_application_stays() -> None:
    async with connect(wrap(plain_application(), SETTINGS)) as client:
        answer = await client.get("/orders/7")
    assert answer.headers.get_list("content-security-policy") == ["default-src *"]


@pytest.mark.parametrize(
    ("environ", "size", "status"),
    [({}, 2**20, 204), ({}, 2**20 + 1, 413), ({"MAX_BODY_BYTES": "10"}, 11, 413)],
)
async def test_the_largest_body_is_set_by_a_variable(
    environ: dict[str, str], size: int, status: int, tmp_path: Path
) -> None:
    settings = load(ServiceSettings, environ=environ, directory=tmp_path)
    async with connect(wrap(silent, settings)) as client:
        assert (await client.post("/any", content=b"x" * size)).status_code == status


@pytest.mark.parametrize(
    ("environment", "enabled", "foreign"),
    [("development", None, False), ("production", None, True), ("production", True, False)],
)
async def test_the_documentation_page_loads_nothing_from_elsewhere(
    environment: str, enabled: bool | None, foreign: bool
) -> None:
    """In production the page is the application's own, and the policy keeps its scripts from running."""
    settings = ServiceSettings(
        environment=EnvironmentName(environment), security=SecuritySettings(docs_enabled=enabled)
    )
    async with connect(wrap(plain_application(), settings)) as client:
        page = await client.get("/docs")
    assert ("https://" in page.text) is foreign
    assert foreign is (page.headers["content-security-policy"].startswith("default-src 'none'; frame"))


class Chatty:
    """A bundle that brings a route."""

    name = "chatty"
    requires: tuple[str, ...] = ()

    def register(self, environment: Environment) -> None:
        from fastapi import APIRouter

        environment.routers.append(APIRouter())


class Store:
    """A bundle that brings a resource."""

    name = "store"
    requires: tuple[str, ...] = ()

    def __init__(self, steps: list[str]) -> None:
        self.steps = steps

    def register(self, environment: Environment) -> None:
        environment.lifecycle.on_start("store", lambda: self.steps.append("store opened"))
        environment.lifecycle.on_close("store", lambda: self.steps.append("store closed"))


async def test_bundles_open_before_the_application_and_close_after_it() -> None:
    steps: list[str] = []
    async with connect(wrap(fastapi_application(steps), SETTINGS, bundles=[Store(steps)])):
        pass
    assert steps == ["store opened", "opened", "closed", "store closed"]


class Watched:
    """A bundle that brings a health check and a metric."""

    name = "watched"
    requires: tuple[str, ...] = ()

    def register(self, environment: Environment) -> None:
        environment.health.add(HealthCheck("store", lambda: None))
        environment.metrics.counter("service_orders_total", "Orders.").inc()


async def test_a_bundle_brings_health_checks_and_metrics() -> None:
    async with connect(wrap(silent, SETTINGS, bundles=[Watched()])) as client:
        assert '"store"' in (await client.get("/health/detailed")).text
        assert "service_orders_total 1" in (await client.get("/metrics")).text


def test_a_bundle_with_routes_is_refused() -> None:
    with pytest.raises(ValueError, match="chatty"):
        wrap(silent, SETTINGS, bundles=[Chatty()])


async def test_a_template_is_found_below_a_prefix() -> None:
    app = Flask("shop")
    app.add_url_rule("/orders/<number>", view_func=lambda number: number, endpoint="order")
    templates: Any = flask_templates(app)
    scope = {"path": "/shop/orders/7", "root_path": "/shop", "method": "GET"}
    assert templates(scope) == "/orders/<number>"
    assert templates({**scope, "path": "/shop/orders/"}) is None
