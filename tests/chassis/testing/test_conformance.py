"""The conformance suite: a good service passes, whatever its settings, and a bad one does not."""

from collections.abc import Callable
from pathlib import Path

RunTests = Callable[[dict[str, str]], dict[str, str]]

INCLUDE = '''"""The tests that every service of the standard passes."""

from chassis.testing.conformance import Conformance


class TestConformance(Conformance):
    """What the standard promises holds for this service."""
'''

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


def test_a_bad_service_fails_where_it_is_bad(run_tests: RunTests, sample: Path) -> None:
    app = sample / "src" / "sample_service" / "app.py"
    app.write_text(BROKEN.format(breaks="\n    ".join(BREAKS)))
    outcomes = run_tests({"test_conformance.py": INCLUDE})
    failed = {name.split("::")[-1] for name, outcome in outcomes.items() if outcome in {"failed", "error"}}
    assert set(BREAKS.values()) <= failed
