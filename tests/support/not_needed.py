"""Packages and modules that a service imports when it uses them, and not before."""

from collections.abc import Iterable

NOT_NEEDED = (
    "_pytest",
    "aiosqlite",
    "alembic",
    "anyio._backends",
    "asyncpg",
    "attr",
    "azure",
    "boto3",
    "chassis.bundles.database",
    "chassis.cli",
    "chassis.http_client.client",
    "chassis.settings.dotenv_file",
    "chassis.testing",
    "chassis.tracing.pipeline",
    "colorama",
    "ctypes",
    "fastapi_swagger",
    "google",
    "grpc",
    "h11",
    "httpcore2",
    "httpx2",
    "jinja2",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "prometheus_client",
    "psutil",
    "pydantic.v1",
    "pygments",
    "pytest",
    "requests",
    "rich",
    "sqlalchemy",
    "typer",
    "watchfiles",
    "yaml",
)
"""Each is imported by the function that needs it: a bundle, an exporter, a client, a scrape, a file to read."""


def not_needed(modules: Iterable[str]) -> list[str]:
    """Return which of them are among these modules."""
    return sorted(
        {name for one in modules for name in NOT_NEEDED if one == name or one.startswith(f"{name}.")}
    )
