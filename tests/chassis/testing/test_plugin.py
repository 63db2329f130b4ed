"""The fixtures, in the test run of a service."""

from collections.abc import Callable

RunTests = Callable[[dict[str, str]], dict[str, str]]

TESTS = """
import os
from chassis.testing import CapturedLogs, FakeClock, MetricsReader

def test_settings_come_from_code_and_config_alone(settings, environ):
    assert settings.service.name == "sample"
    assert settings.server.port == 8000
    assert settings.environment == "development"
    assert os.environ["PORT"] == "many"

def test_requests_are_not_limited(settings):
    assert not settings.rate_limiting.enabled

def test_data_goes_to_the_test(environ, tmp_path):
    assert str(tmp_path) in environ["DATABASE_URL"]

async def test_the_service_runs_behind_the_client(client, app):
    assert app.environment.lifecycle.state == "ready"
    assert (await client.get("/items/7")).json() == {"item_id": 7, "name": "pear"}

async def test_an_error_is_a_problem(client):
    assert (await client.get("/items/101")).json()["code"] == "ITEM_NOT_FOUND"

async def test_metrics_are_those_of_this_test(client, metrics: MetricsReader):
    counted = metrics.delta("service_requests_total", route="/items/{item_id}")
    await client.get("/items/7")
    assert counted() == metrics.value("service_requests_total", route="/items/{item_id}") == 1

async def test_logs_are_those_of_the_service(client, logs: CapturedLogs):
    await client.get("/items/7")
    assert logs.one("request", route="/items/{item_id}", service="sample", environment="development")

async def test_logs_are_empty_at_first(logs: CapturedLogs, client):
    assert logs.find("request") == []

def test_the_clock_is_the_tests(clock: FakeClock):
    before = clock()
    clock.advance(1)
    assert clock() == before + 1

async def test_it_is_asyncio(anyio_backend):
    assert anyio_backend == "asyncio"

def test_the_service_is_the_projects(service):
    assert service.package == "sample_service"
"""

OVERRIDES = """
import pytest

@pytest.fixture
def environ(environ):
    return {**environ, "PAYMENTS_API_KEY": "from-conftest", "RATE_LIMITING_ENABLED": "true"}
"""

OVERRIDDEN = """
def test_an_override_changes_the_settings(settings):
    assert settings.payments.api_key.get_secret_value() == "from-conftest"
    assert settings.rate_limiting.enabled

async def test_an_override_changes_the_application(app):
    assert app.environment.settings.payments.api_key.get_secret_value() == "from-conftest"

async def test_an_override_of_the_settings_alone_works_too(app, client):
    assert (await client.get("/items/7")).headers["ratelimit"]
"""


def test_the_fixtures_give_a_service_what_they_promise(run_tests: RunTests) -> None:
    outcomes = run_tests(
        {
            "test_fixtures.py": TESTS,
            "overridden/conftest.py": OVERRIDES,
            "overridden/test_overridden.py": OVERRIDDEN,
        }
    )
    assert outcomes == dict.fromkeys(outcomes, "passed")
    assert len(outcomes) == (TESTS + OVERRIDDEN).count("def test_")
    assert "tests/test_fixtures.py::test_it_is_asyncio" in outcomes, "once, not once a backend"
