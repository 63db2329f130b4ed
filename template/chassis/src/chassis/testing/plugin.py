"""The pytest plugin: ``addopts = ["-p", "chassis.testing.plugin"]`` gives a service the fixtures of the kit.

The fixtures live in ``chassis.testing.fixtures``. They are registered last, so that ``anyio_backend`` is
theirs and not that of anyio's own plugin.
"""

import pytest

from chassis.startup import import_fastapi

pytest.register_assert_rewrite("chassis.testing.conformance")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Import FastAPI as the process of a service does, before a ``conftest.py`` imports it."""
    import_fastapi()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures after every installed plugin."""
    from chassis.testing import fixtures

    config.pluginmanager.register(fixtures, "chassis-fixtures")
