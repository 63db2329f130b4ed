"""The fixtures of a service's tests. A fixture of the same name in its ``conftest.py`` replaces one.

Each one builds on those before it::

    service    which service is tested, as the nearest pyproject.toml says
    environ    the variables that the settings are read from, and no others
    settings   the service's settings
    logs       what is logged during the test
    app        the service, built by its own create_app
    client     an HTTP client of the running service
    metrics    what the service exports

``clock``, which stands still until the test moves it, needs none of them.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from httpx2 import AsyncClient

from chassis.app import Service
from chassis.project import ServiceReference, find_service, load_object
from chassis.service_settings import ServiceSettings
from chassis.settings import load
from chassis.testing.captured_logs import CapturedLogs, capture_logs
from chassis.testing.client import connect
from chassis.testing.clock import FakeClock
from chassis.testing.metrics_reader import MetricsReader


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def service(pytestconfig: pytest.Config) -> ServiceReference:
    """Return which service is tested."""
    return find_service(pytestconfig.rootpath)


@pytest.fixture
def environ(service: ServiceReference, tmp_path: Path) -> dict[str, str]:
    """Return the variables that ``settings`` is read from; those of the machine and ``.env`` are not.

    Rate limiting is off, so that a test may send as many requests as it likes, and data goes to a directory
    of the test. Add to it in ``conftest.py``::

        @pytest.fixture
        def environ(environ: dict[str, str]) -> dict[str, str]:
            return {**environ, "PAYMENTS_API_KEY": "test"}
    """
    variables = {
        "ENVIRONMENT": "development",
        "RATE_LIMITING_ENABLED": "false",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}",
    }
    config = service.root / "config"
    return {**variables, "CONFIG_DIR": str(config)} if config.is_dir() else variables


@pytest.fixture
def load_settings(service: ServiceReference, tmp_path: Path) -> Callable[[dict[str, str]], ServiceSettings]:
    """Return a function that reads the service's settings from the variables it is given."""
    settings_class = load_object(service.settings, service.root)
    return lambda environ: load(settings_class, environ=environ, directory=tmp_path)


@pytest.fixture
def settings(
    load_settings: Callable[[dict[str, str]], ServiceSettings], environ: dict[str, str]
) -> ServiceSettings:
    """Return the service's settings; change a variable in ``environ``."""
    return load_settings(environ)


@pytest.fixture(scope="session")
def app_factory(service: ServiceReference) -> Callable[[ServiceSettings], Service]:
    """Return the service's own ``create_app``."""
    factory: Callable[[ServiceSettings], Service] = load_object(service.app, service.root)
    return factory


@pytest.fixture
def app(app_factory: Callable[[ServiceSettings], Service], settings: ServiceSettings) -> Service:
    """Return the service, built but not started; ``client`` starts it."""
    return app_factory(settings)


@pytest.fixture
async def client(app: Service) -> AsyncIterator[AsyncClient]:
    """Give a client of the service, which runs during the test, its lifespan included.

    A crash of the service is a 500 here, as it is for its real clients; its traceback is in the log.
    """
    async with connect(app) as client:
        yield client


@pytest.fixture
def metrics(app: Service) -> MetricsReader:
    """Return what the service under test exports."""
    return MetricsReader(app.environment.metrics)


@pytest.fixture
def logs(settings: ServiceSettings) -> Iterator[CapturedLogs]:
    """Return what is logged during the test as it leaves the service: masked, with all its fields."""
    with capture_logs(
        settings.logging, service=settings.service.name, environment=settings.environment
    ) as captured:
        yield captured


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still until the test moves it."""
    return FakeClock()
