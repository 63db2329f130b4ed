"""The tests that every service of the standard passes, whatever it does.

A service includes them with a file of four lines, ``tests/test_conformance.py``::

    from chassis.testing.conformance import Conformance

    class TestConformance(Conformance):
        \"\"\"What the standard promises holds for this service.\"\"\"

They use the fixtures of ``chassis.testing.fixtures``. Routes of their own are added to the service under
test, so that nothing depends on which endpoints it has.
"""
# ruff: noqa: S101 - these are tests: pytest explains a failed assert

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

import pytest
from fastapi import APIRouter
from httpx2 import AsyncClient, Response
from pydantic import BaseModel, SecretStr

from chassis.app import Service
from chassis.metrics import UNMATCHED
from chassis.service_settings import ServiceSettings
from chassis.settings import SettingsError
from chassis.testing.captured_logs import CapturedLogs
from chassis.testing.client import connect
from chassis.testing.metrics_reader import MetricsReader

__all__ = ["Conformance"]

PREFIX = "/conformance-probe"
NOWHERE = "/conformance-nowhere"
CRASH_TEXT = "conformance-crash-text"
UNKNOWN_PATHS = 100

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}
LOG_FIELDS = {"timestamp", "level", "event", "service", "environment", "logger", "request_id"}

# One request for each way a response comes about: method, path, status.
OUTCOMES = {
    "answer": ("GET", f"{PREFIX}/items/7", HTTPStatus.OK),
    "not found": ("GET", NOWHERE, HTTPStatus.NOT_FOUND),
    "method not allowed": ("DELETE", "/health/live", HTTPStatus.METHOD_NOT_ALLOWED),
    "invalid": ("GET", f"{PREFIX}/items/seven", HTTPStatus.UNPROCESSABLE_ENTITY),
    "crash": ("GET", f"{PREFIX}/crash", HTTPStatus.INTERNAL_SERVER_ERROR),
}
every_outcome = pytest.mark.parametrize(
    ("method", "path", "status"), list(OUTCOMES.values()), ids=list(OUTCOMES)
)
every_error = pytest.mark.parametrize(
    ("method", "path", "status"), list(OUTCOMES.values())[1:], ids=list(OUTCOMES)[1:]
)

LoadSettings = Callable[[dict[str, str]], ServiceSettings]
AppFactory = Callable[[ServiceSettings], Service]


class Conformance:
    """Inherit from it in a class whose name starts with ``Test``."""

    @pytest.fixture
    def app(self, app: Service) -> Service:
        """Add the routes that these tests ask to the service under test."""
        return _with_probes(app)

    @pytest.fixture
    async def operator(self, app: Service, client: AsyncClient) -> AsyncIterator[AsyncClient]:
        """Give a client of what operators see, which may have a port of its own."""
        if app.management is None:
            yield client
        else:
            async with connect(app.management, lifespan=False) as operator:
                yield operator

    # Health -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
    async def test_health_endpoints_answer(self, client: AsyncClient, path: str) -> None:
        """A running service is healthy, alive and ready."""
        response = await client.get(path)
        assert response.status_code == HTTPStatus.OK, response.text
        assert response.json()["status"]

    async def test_a_draining_service_is_alive_not_ready(self, app: Service, client: AsyncClient) -> None:
        """Load balancers must turn away from it, and nobody may restart it."""
        app.environment.lifecycle.begin_drain()
        assert (await client.get("/health/ready")).status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert (await client.get("/health/live")).status_code == HTTPStatus.OK
        assert (await client.get(f"{PREFIX}/items/7")).status_code == HTTPStatus.OK

    async def test_detailed_health_names_its_checks(self, operator: AsyncClient) -> None:
        """An operator sees each check with its status."""
        report = (await operator.get("/health/detailed")).json()
        assert report["checks"]
        assert all(check["name"] and check["status"] for check in report["checks"])

    @pytest.mark.parametrize("path", ["/health/detailed", "/metrics", "/openapi.json"])
    async def test_no_secret_is_shown(
        self, operator: AsyncClient, settings: ServiceSettings, path: str
    ) -> None:
        """No value of a secret setting appears in what operators see."""
        body = (await operator.get(path)).text
        shown = [variable for variable, secret in _secrets(settings) if secret in body]
        assert not shown

    # Errors -------------------------------------------------------------------------------------------

    @every_error
    async def test_every_error_is_a_problem(
        self, client: AsyncClient, method: str, path: str, status: HTTPStatus
    ) -> None:
        """RFC 9457: the right status, media type and members, and the request id of the header."""
        response = await client.request(method, path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["status"] == status
        assert problem["title"]
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", problem["code"])
        assert problem["instance"] == path
        assert problem["request_id"] == response.headers["x-request-id"]

    async def test_a_method_not_allowed_names_those_that_are(self, client: AsyncClient) -> None:
        """RFC 9110, section 15.5.6."""
        response = await client.delete("/health/live")
        assert "GET" in response.headers["allow"]

    async def test_an_invalid_request_names_the_field(self, client: AsyncClient) -> None:
        """The client learns where the mistake is, and its value is not repeated."""
        response = await client.get(f"{PREFIX}/items/{CRASH_TEXT}")
        assert response.json()["errors"][0]["pointer"] == "/item_id"
        assert CRASH_TEXT not in json.dumps(response.json()["errors"])

    async def test_a_crash_is_logged_once_and_shows_nothing(
        self, client: AsyncClient, logs: CapturedLogs
    ) -> None:
        """The client gets an id, the log gets the traceback."""
        response = await client.get(f"{PREFIX}/crash")
        assert CRASH_TEXT not in response.text
        crashes = [event for event in logs.events if CRASH_TEXT in json.dumps(event, default=str)]
        assert len(crashes) == 1
        assert crashes[0]["request_id"] == response.headers["x-request-id"]

    async def test_a_body_beyond_the_limit_is_refused(self, app: Service, client: AsyncClient) -> None:
        """A request cannot fill the memory."""
        limit = app.environment.settings.security.max_body_bytes
        if not limit:
            pytest.skip("this service sets MAX_BODY_BYTES=0: no limit")
        response = await client.post(f"{PREFIX}/echo", content=b"x" * (limit + 1))
        _assert_problem(response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    async def test_a_client_beyond_its_quota_is_refused(
        self, app_factory: AppFactory, settings: ServiceSettings
    ) -> None:
        """The answer says when to come back; probes are always answered."""
        limits = settings.rate_limiting.model_copy(update={"enabled": True, "requests": 1})
        app = _with_probes(app_factory(settings.model_copy(update={"rate_limiting": limits})))
        async with connect(app) as client:
            first, second = [await client.get(f"{PREFIX}/items/7") for _ in range(2)]
            probe = await client.get("/health/live")
        assert first.status_code == HTTPStatus.OK
        assert "ratelimit" in first.headers
        _assert_problem(second, HTTPStatus.TOO_MANY_REQUESTS)
        assert int(second.headers["retry-after"]) > 0
        assert probe.status_code == HTTPStatus.OK

    # Headers ------------------------------------------------------------------------------------------

    @every_outcome
    async def test_security_headers_are_on_every_response(
        self, client: AsyncClient, method: str, path: str, status: HTTPStatus
    ) -> None:
        """Errors and crashes included; the software behind it is not named."""
        response = await client.request(method, path)
        assert response.status_code == status
        assert {name: response.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert "server" not in response.headers
        assert "x-powered-by" not in response.headers

    @every_outcome
    async def test_a_request_id_is_given_and_echoed(
        self, client: AsyncClient, method: str, path: str, status: HTTPStatus
    ) -> None:
        """The id of the caller is kept, so that one id names a request in every service."""
        given = await client.request(method, path)
        echoed = await client.request(method, path, headers={"X-Request-ID": "caller-0123456789abcdef"})
        assert re.fullmatch(r"[0-9a-f]{32}", given.headers["x-request-id"])
        assert echoed.headers["x-request-id"] == "caller-0123456789abcdef"
        assert echoed.status_code == status

    @pytest.mark.parametrize("invalid", ["", "x" * 500, "a b", "<script>", "id;drop"])
    async def test_an_invalid_request_id_is_replaced(self, client: AsyncClient, invalid: str) -> None:
        """What goes into every log line cannot be chosen freely."""
        response = await client.get("/health/live", headers={"X-Request-ID": invalid})
        assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])

    # Metrics ------------------------------------------------------------------------------------------

    async def test_a_request_is_counted_under_its_route(
        self, client: AsyncClient, metrics: MetricsReader
    ) -> None:
        """By template, never by raw path."""
        route = f"{PREFIX}/items/{{item_id}}"
        counted = metrics.delta("service_requests_total", method="GET", route=route, status="200")
        timed = metrics.delta("service_request_duration_seconds_count", method="GET", route=route)
        await client.get(f"{PREFIX}/items/7")
        assert (counted(), timed()) == (1, 1)
        assert f"{PREFIX}/items/7" not in metrics.labels("service_requests_total", "route")

    async def test_unknown_paths_add_one_label_value(
        self, client: AsyncClient, metrics: MetricsReader
    ) -> None:
        """A scanner cannot fill the metrics store."""
        await client.get(NOWHERE)
        before = metrics.labels("service_requests_total", "route")
        assert UNMATCHED in before
        for number in range(UNKNOWN_PATHS):
            await client.get(f"{NOWHERE}/{number}")
        assert metrics.labels("service_requests_total", "route") == before

    async def test_metrics_are_served(self, operator: AsyncClient, settings: ServiceSettings) -> None:
        """Prometheus finds what dashboards and alerts ask for, unless METRICS_ENABLED is false."""
        body = (await operator.get("/metrics")).text
        for name in ("service_requests_total", "service_request_duration_seconds", "service_build_info"):
            assert (f"# TYPE {name} " in body) is settings.metrics.enabled

    # Logs ---------------------------------------------------------------------------------------------

    async def test_a_request_is_logged_with_the_fixed_fields(
        self, client: AsyncClient, logs: CapturedLogs
    ) -> None:
        """One access line a request, each line valid JSON with what every line of the company has."""
        response = await client.get(f"{PREFIX}/items/7")
        events = logs.find(request_id=response.headers["x-request-id"])
        assert [event["event"] for event in events].count("request") == 1
        assert all(event.keys() >= LOG_FIELDS for event in events)

    # Documentation ------------------------------------------------------------------------------------

    async def test_the_docs_page_needs_no_other_host(self, operator: AsyncClient) -> None:
        """All it loads comes from the service itself, and is there."""
        page = await operator.get("/docs")
        if page.status_code == HTTPStatus.NOT_FOUND:
            pytest.skip("this service sets DOCS_ENABLED=false")
        links = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
        assert links
        for link in links:
            assert "//" not in link, f"{link} is on another host"
            assert (await operator.get(urljoin("/docs", link))).status_code == HTTPStatus.OK

    def test_the_api_description_is_consistent(self, app: Service) -> None:
        """Every reference leads somewhere, every operation has an id of its own and says what it answers."""
        document = app.openapi()
        assert document["openapi"].startswith("3.")
        assert document["info"]["title"]
        assert document["info"]["version"]
        operations = list(_operations(document))
        ids = [operation["operationId"] for operation in operations]
        assert len(ids) == len(set(ids))
        assert all(operation["responses"] for operation in operations)
        dangling = [reference for reference in _references(document) if not _resolves(document, reference)]
        assert not dangling

    # Settings -----------------------------------------------------------------------------------------

    def test_production_refuses_weak_settings(
        self, load_settings: LoadSettings, environ: dict[str, str]
    ) -> None:
        """Every mistake is reported at once, by the name of its variable."""
        weak = {**environ, "ENVIRONMENT": "production", "DEBUG": "true", "CORS_ORIGINS": "*"}
        with pytest.raises(SettingsError) as caught:
            load_settings(weak)
        assert {"DEBUG", "CORS_ORIGINS"} <= {mistake.variable for mistake in caught.value.mistakes}

    def test_two_applications_live_in_one_process(
        self, app_factory: AppFactory, settings: ServiceSettings
    ) -> None:
        """Nothing is registered twice: tests, workers and reloads build the application again and again."""
        assert app_factory(settings) is not app_factory(settings)


class _Echo(BaseModel):
    text: str


def _with_probes(app: Service) -> Service:
    router = APIRouter(prefix=PREFIX, include_in_schema=False)

    @router.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"item_id": item_id}

    @router.post("/echo")
    async def echo(body: _Echo) -> _Echo:
        return body

    @router.get("/crash")
    async def crash() -> None:
        raise RuntimeError(CRASH_TEXT)

    app.include_router(router)
    return app


def _assert_problem(response: Response, status: HTTPStatus) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]


def _secrets(model: BaseModel, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and value of each secret; one as short as ``x`` would be found by chance."""
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from _secrets(value, f"{path}{name}.")
        elif isinstance(value, SecretStr):
            secret = value.get_secret_value()
            if len(secret) > len("password"):
                yield f"{path}{name}", secret


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    for path in document.get("paths", {}).values():
        yield from (operation for method, operation in path.items() if method in methods)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _resolves(document: dict[str, Any], reference: str) -> bool:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return reference.startswith("#/")
