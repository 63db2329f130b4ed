"""The bundle: what the database brings to a service."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from chassis.bundle import Environment
from chassis.bundles.database.engine import measured_pool, service_engine
from chassis.bundles.database.errors import DatabaseUnavailable, answer
from chassis.bundles.database.metrics import DatabaseMetrics
from chassis.bundles.database.settings import DatabaseSettings
from chassis.health import HealthCheck
from chassis.lifecycle import Resource

__all__ = ["Database"]


class Database:
    """SQLAlchemy sessions, a health check, metrics, and migrations at start where that is chosen.

    The service starts without its database: it warns, is not ready, and recovers by itself when the database
    is back. It opens nothing before it starts.
    """

    name: Final = "database"
    requires: Final[tuple[str, ...]] = ()

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self._application = "service"
        self._migrates = False
        self._resource: Resource[None] | None = None

    @cached_property
    def engine(self) -> AsyncEngine:
        """The engine of all sessions; it is disposed when the service stops."""
        return service_engine(self.settings, application=self._application)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a session that commits at the end of the block, and rolls back if the block raises.

        Inside a request, take the ``Session`` dependency instead.
        """
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session
            await session.commit()

    def register(self, environment: Environment) -> None:
        """Add the engine, its health check, its metrics and the meaning of its errors to the service."""
        self._application = environment.settings.service.name
        chosen = self.settings.migrate_on_start
        self._migrates = environment.settings.environment == "development" if chosen is None else chosen
        DatabaseMetrics(environment.metrics, slow_query_ms=self.settings.slow_query_ms).watch(self.engine)
        if environment.tracing.provider is not None:
            from chassis.bundles.database.spans import trace_statements

            trace_statements(self.engine, environment.tracing.provider)
        environment.lifecycle.on_close("database connections", self.engine.dispose)
        self._resource = environment.lifecycle.resource(
            "database", self._open, required=False, patience=self.settings.connect_timeout
        )
        environment.health.add(HealthCheck("database", self._probe, critical=True))
        for kind in (DBAPIError, PoolTimeoutError, StaleDataError):
            environment.map_error(kind, answer)
        environment.provide(Database, self)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        """Be open once the database has answered and, where that is chosen, its schema is up to date."""
        if self._migrates:
            # Alembic is loaded only where it is needed, and then announces each of its plugins at level info.
            logging.getLogger("alembic").setLevel(logging.WARNING)
            from chassis.bundles.database.migrations import Migrations

            await asyncio.to_thread(Migrations(self.settings).upgrade)  # it blocks
        await self._ask()
        yield

    async def _probe(self) -> str:
        """Tell how many connections are in use. Raises if the database does not answer."""
        if self._migrates and self._resource is not None and not self._resource.available:
            # Why the last attempt failed: the database cannot be reached, or a migration is wrong.
            error = self._resource.error
            reason = "" if error is None else f" {type(error).__name__}: {error}"
            raise DatabaseUnavailable(f"The migrations have not run yet.{reason}")
        await self._ask()
        used = measured_pool(self.engine).checkedout()
        return f"{used} of {self._most} connections in use"

    async def _ask(self) -> None:
        """Ask the database for a constant.

        Requests that use all connections are no reason to call the database unhealthy, and the probe must not
        queue with them: then it asks over a connection of its own.
        """
        saturated = measured_pool(self.engine).checkedout() >= self._most
        engine = self._spare_engine if saturated else self.engine
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    @cached_property
    def _spare_engine(self) -> AsyncEngine:
        return service_engine(self.settings, application=self._application, pooled=False)

    @property
    def _most(self) -> int:
        return self.settings.pool_size + self.settings.max_overflow
