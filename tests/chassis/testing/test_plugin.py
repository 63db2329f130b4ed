"""The fixtures, in the test run of a service."""

import re
from collections.abc import Callable
from pathlib import Path

RunTests = Callable[[dict[str, str]], dict[str, str]]
PAGE = Path(__file__).parents[3] / "docs/reference/testing.md"

TESTS = """
import os
import pytest
from httpx2 import AsyncClient
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
    assert isinstance(client, AsyncClient)
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
    assert isinstance(clock, FakeClock)
    before = clock()
    clock.advance(1)
    assert clock() == before + 1

async def test_it_is_asyncio(anyio_backend):
    assert anyio_backend == "asyncio"

def test_the_service_is_the_projects(service):
    assert service.package == "sample_service"

def test_the_parts_are_what_the_others_are_made_of(load_settings, app_factory, environ, settings):
    assert load_settings(environ) == settings
    assert app_factory(settings).environment.settings is settings

def test_fastapi_is_imported_as_the_process_of_a_service_does_it():
    from fastapi._compat import shared
    assert shared.is_pydantic_v1_model_class.__module__ == "chassis.startup"

def test_config_counts_and_env_file_does_not(settings):
    assert settings.service.description == "From config."
    assert settings.service.version == "0.0.0"

APPLICATIONS = []

@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_an_application_of_its_own(app, turn):
    assert app not in APPLICATIONS
    APPLICATIONS.append(app)
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


CRASHING = """
import pytest

@pytest.fixture
def app(app):
    def crash():
        raise RuntimeError("went wrong")
    app.add_api_route("/crash", crash)
    return app

async def test_a_crash_is_answered_and_logged(client, logs):
    assert (await client.get("/crash")).status_code == 500
    assert "Traceback" in logs.one("request crashed")["exception"]
    assert "went wrong" in logs.text
"""

DOCUMENTED = """
def test_the_settings_are_those_of_the_example(settings):
    assert settings.payments.api_key.get_secret_value() == "test"
"""


def test_the_fixtures_give_a_service_what_they_promise(run_tests: RunTests, sample: Path) -> None:
    (sample / ".env").write_text("SERVICE_VERSION=9.9.9\nSERVICE_DESCRIPTION=from-env-file\n")
    (sample / "config/service.yaml").write_text("service: {name: sample, description: From config.}\n")
    example, override, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    tests = {
        "test_fixtures.py": TESTS,
        "overridden/test_overridden.py": OVERRIDDEN,
        "crashing/test_crashing.py": CRASHING,
        "documented/test_example.py": example,
        "documented/test_documented.py": DOCUMENTED,
    }
    conftests = {
        "conftest.py": "import fastapi\n",  # pytest imports this before it configures its plugins
        "overridden/conftest.py": OVERRIDES,
        "documented/conftest.py": f"import pytest\n{override}",
    }
    outcomes = run_tests(tests | conftests)
    assert outcomes == dict.fromkeys(outcomes, "passed")
    assert len(outcomes) == "".join(tests.values()).count("def test_") + 1  # one has two turns
    assert "tests/test_fixtures.py::test_it_is_asyncio" in outcomes, "once, not once a backend"
