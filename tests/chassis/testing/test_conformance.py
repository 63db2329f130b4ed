"""The conformance suite: a good service passes, whatever its settings, and a bad one does not."""

from collections.abc import Callable
from pathlib import Path

RunTests = Callable[[dict[str, str]], dict[str, str]]

INCLUDE = '''"""The tests that every service of the standard passes."""

from chassis.testing.conformance import Conformance


class TestConformance(Conformance):
    """What the standard promises holds for this service."""
'''

# To save time: only what is put back is run.
NOTHING_ELSE = """
for name in vars(Conformance):
    if name.startswith("test_"):
        setattr(TestConformance, name, None)
"""

SETTINGS = """
import pytest

@pytest.fixture
def environ(environ):
    return {{**environ, {variables}}}
"""

WITHOUT_A_RESOURCE = """
import pytest
from chassis.app import create_app

@pytest.fixture(scope="session")
def app_factory():
    return create_app
"""

# Each line breaks one promise, and the test that must notice is named beside it.
BREAKS = {
    "add(HealthCheck('leak', leak))": "test_no_secret_is_shown[/health/detailed]",
    "add(HealthCheck('down', down))": "test_health_endpoints_answer[/health/ready]",
    "service.environment.lifecycle.begin_drain = nothing": "test_a_draining_service_is_alive_not_ready",
    "service.exception_handlers[RuntimeError] = shows": "test_a_crash_is_logged_once_and_shows_nothing",
    "service.openapi = dangling": "test_the_api_description_is_consistent",
    "Counter('sample_orders', 'Registered for the process.')": "test_two_applications_live_in_one_process",
    "service.environment.metrics.requests.finished = nothing": "test_unknown_paths_add_one_label_value",
}
BROKEN = '''
"""A composition root that does a great deal wrong."""

from prometheus_client import Counter
from starlette.responses import PlainTextResponse

from chassis import app as chassis_app
from chassis.health import HealthCheck

def nothing(*_, **__):
    return None

def down():
    raise ConnectionError

def dangling():
    return {{"openapi": "3.1.0", "info": {{"title": "x", "version": "1"}}, "paths": {{"$ref": "#/lost"}}}}

async def shows(request, crash):
    return PlainTextResponse(str(crash), 500)

def create_app(settings):
    service = chassis_app.create_app(settings)
    add = service.environment.health.add
    leak = settings.payments.api_key.get_secret_value
    {breaks}
    return service
'''

# What is broken in each of these, and the tests that must notice.
BAD = {
    "no_problems": (
        "service.exception_handlers[HTTPException] = shows",
        {"test_every_error_is_a_problem[not found]", "test_every_error_is_a_problem[method not allowed]"},
    ),
    "invalid_without_a_problem": (
        "service.exception_handlers[RequestValidationError] = shows",
        {"test_every_error_is_a_problem[invalid]", "test_an_invalid_request_names_the_field"},
    ),
    "no_limit_of_bodies": ("replace(max_body_bytes=0)", {"test_a_body_beyond_the_limit_is_refused"}),
    "no_limit_of_rates": ("replace(limiter=Generous())", {"test_a_client_beyond_its_quota_is_refused"}),
    "no_headers": (
        "replace(security_headers=Headers())",
        {
            f"test_security_headers_are_on_every_response[{outcome}]"
            for outcome in ("answer", "not found", "method not allowed", "invalid", "crash")
        },
    ),
    "server_named": (
        "replace(security_headers=Headers(b'server'))",
        {"test_security_headers_are_on_every_response[answer]"},
    ),
    "ids_forgotten": (
        "relabel(lambda sent, given: uuid4().hex)",
        {
            "test_a_request_id_is_given_and_echoed[answer]",
            "test_every_error_is_a_problem[crash]",
            "test_a_body_beyond_the_limit_is_refused",
            "test_a_client_beyond_its_quota_is_refused",
        },
    ),
    "ids_believed": (
        "relabel(lambda sent, given: sent or given)",
        {"test_an_invalid_request_id_is_replaced[a b]", "test_an_invalid_request_id_is_replaced[<script>]"},
    ),
    "not_counted": (
        "service.environment.metrics.requests.finished = lambda *_: None",
        {"test_a_request_is_counted_under_its_route"},
    ),
    "secret_in_metrics": (
        "service.environment.metrics.counter('service_leaks_total', 'x', ('key',)).labels(secret(settings)).inc()",
        {"test_no_secret_is_shown[/metrics]"},
    ),
    "secret_in_the_document": (
        "service.description = secret(settings)",
        {"test_no_secret_is_shown[/openapi.json]"},
    ),
    "docs_from_elsewhere": (
        "service.router.routes.insert(0, Route('/docs', foreign))",
        {"test_the_docs_page_needs_no_other_host"},
    ),
}
BAD_FACTORY = """
from uuid import uuid4

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from chassis import app as chassis_app
from chassis.ratelimit import Decision
from chassis.security import SecurityHeaders, SecuritySettings


class Headers(SecurityHeaders):
    def __init__(self, *names):
        super().__init__(SecuritySettings())
        self.names = names

    def headers_for(self, scheme):
        kept = super().headers_for(scheme) if self.names else ()
        return (*kept, *((name, b"x") for name in self.names))


class Generous:
    async def hit(self, key, quota):
        return Decision(allowed=True, limit=9, remaining=9, reset_after=1, retry_after=0)


async def shows(request, error):
    return PlainTextResponse(str(error), getattr(error, "status_code", 422))


def secret(settings):
    return settings.payments.api_key.get_secret_value()


async def foreign(request):
    return HTMLResponse("<script src='https://cdn.example/docs.js'></script>")


@pytest.fixture(scope="session")
def app_factory():
    def create_app(settings):
        service = chassis_app.create_app(settings)

        def replace(**parts):
            made = service.environment.collaborators()._replace(**parts)
            service.environment.collaborators = lambda: made

        def relabel(choose):
            build = service.build_middleware_stack

            def build_relabelling():
                inner = build()

                async def outer(scope, receive, send):
                    async def sending(message):
                        if message["type"] == "http.response.start":
                            headers = dict(message["headers"])
                            sent = dict(scope["headers"]).get(b"x-request-id", b"").decode()
                            given = headers[b"x-request-id"].decode()
                            headers[b"x-request-id"] = choose(sent, given).encode()
                            message["headers"] = list(headers.items())
                        await send(message)

                    await inner(scope, receive, sending if scope["type"] == "http" else send)

                return outer

            service.build_middleware_stack = build_relabelling

        {breaks}
        return service

    return create_app
"""
BAD_SETTINGS = {
    "silent": (
        SETTINGS.format(variables="'LOG_LEVEL': 'ERROR'"),
        "test_a_request_is_logged_with_the_fixed_fields",
    ),
    "lenient": (
        """
import pytest
from sample_service.settings import Settings

@pytest.fixture
def load_settings():
    return lambda environ: Settings(rate_limiting={"enabled": False})
""",
        "test_production_refuses_weak_settings",
    ),
}

GOOD = {
    "as_it_is": "",
    "operations_elsewhere": SETTINGS.format(
        variables="'MANAGEMENT_PORT': '9100', 'DOCS_ENABLED': 'false', "
        "'MAX_BODY_BYTES': '0', 'LOG_FORMAT': 'console'"
    ),
    "limited": SETTINGS.format(
        variables="'RATE_LIMITING_ENABLED': 'true', 'RATE_LIMIT_REQUESTS': '1000', 'ENVIRONMENT': 'staging'"
    ),
    "unmeasured": SETTINGS.format(variables="'METRICS_ENABLED': 'false'"),
    "without_a_resource": WITHOUT_A_RESOURCE,
}


def test_good_services_pass(run_tests: RunTests) -> None:
    files: dict[str, str] = {}
    for name, conftest in GOOD.items():
        files |= {f"{name}/conftest.py": conftest, f"{name}/test_conformance.py": INCLUDE}
    outcomes = run_tests(files)
    assert [name for name, outcome in outcomes.items() if outcome in {"failed", "error"}] == []
    assert {name.split("/")[1] for name, outcome in outcomes.items() if outcome == "passed"} == set(GOOD)


def test_each_promise_that_is_broken_is_noticed(run_tests: RunTests) -> None:
    files: dict[str, str] = {}
    expected: set[tuple[str, str]] = set()
    for name, (breaks, tests) in BAD.items():
        files[f"{name}/conftest.py"] = BAD_FACTORY.replace("{breaks}", breaks)
        expected |= {(name, test) for test in tests}
    for name, (conftest, test) in BAD_SETTINGS.items():
        files[f"{name}/conftest.py"] = conftest
        expected.add((name, test))
    for name, test in expected:
        files.setdefault(f"{name}/test_conformance.py", INCLUDE + NOTHING_ELSE)
        bare = test.partition("[")[0]
        files[f"{name}/test_conformance.py"] += f"TestConformance.{bare} = Conformance.{bare}\n"
    outcomes = run_tests(files)
    failed = {
        (node.split("/")[1], node.split("::")[-1])
        for node, outcome in outcomes.items()
        if outcome in {"failed", "error"}
    }
    assert expected - failed == set()


def test_a_bad_service_fails_where_it_is_bad(run_tests: RunTests, sample: Path) -> None:
    app = sample / "src" / "sample_service" / "app.py"
    app.write_text(BROKEN.format(breaks="\n    ".join(BREAKS)))
    outcomes = run_tests({"test_conformance.py": INCLUDE})
    failed = {name.split("::")[-1] for name, outcome in outcomes.items() if outcome in {"failed", "error"}}
    assert set(BREAKS.values()) <= failed
