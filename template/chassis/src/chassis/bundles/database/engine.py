"""Connections: one engine for requests, one for migrations, on SQLite or PostgreSQL.

A service's PostgreSQL URL is given to asyncpg as it is, so that libpq's options in it (``sslmode``,
``sslrootcert``, several hosts, ``target_session_attrs``) mean what they mean everywhere else.

SQLite connections work as a server's would: a write-ahead log, so that readers and the one writer do not
wait for each other; foreign keys on; a busy timeout. A transaction takes the write lock with its first
change, not with its first read, so that it can wait for another writer instead of failing. Reads see what was
committed last, as in PostgreSQL's default isolation.

Sources: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html,
https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#transactions-with-sqlite-and-the-sqlite3-driver
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final, cast

from sqlalchemy import event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, PoolProxiedConnection
from typing_extensions import override

from chassis.bundles.database.errors import hide_values, unreachable
from chassis.bundles.database.settings import DatabaseSettings

__all__ = ["MIGRATION_LOCK_WAIT", "MeasuredPool", "measured_pool", "migration_engine", "service_engine"]

MIGRATION_LOCK_WAIT: Final = 300.0
"""Seconds a process waits while another one migrates the same database."""

_CheckoutCallback = Callable[[float, Exception | None], None]


class MeasuredPool(AsyncAdaptedQueuePool):
    """A pool that reports how long each caller waited for a connection, and why one got none.

    A socket error while connecting is raised as SQLAlchemy's ``OperationalError``: asyncpg lets it through.
    """

    # It logs where SQLAlchemy's own pools do, so that the same levels hold for it.
    _sqla_logger_namespace = "sqlalchemy.pool.MeasuredPool"

    on_checkout: _CheckoutCallback | None = None
    """Called with the seconds that passed and the error, None if there is a connection."""

    @override
    def connect(self) -> PoolProxiedConnection:
        started = perf_counter()
        failure: Exception | None = None
        try:
            return super().connect()
        except OSError as error:
            failure = error
            raise unreachable(error) from error
        except Exception as error:
            failure = error
            raise
        finally:
            if self.on_checkout is not None:
                self.on_checkout(perf_counter() - started, failure)

    @override
    def recreate(self) -> "MeasuredPool":
        pool = cast("MeasuredPool", super().recreate())
        pool.on_checkout = self.on_checkout
        return pool


def measured_pool(engine: AsyncEngine) -> MeasuredPool:
    """Return the pool that an engine uses now: each dispose makes a new one.

    Raises ``TypeError`` if it is a pool of another kind.
    """
    pool = engine.pool
    if not isinstance(pool, MeasuredPool):
        raise TypeError("this engine has no pool that is measured: make it with service_engine()")
    return pool


def service_engine(
    settings: DatabaseSettings, *, application: str = "service", pooled: bool = True
) -> AsyncEngine:
    """Return the engine that serves requests. It opens nothing yet.

    ``application`` is its name in the server's list of connections. Without a pool, it opens a connection for
    each use and closes it after.
    """
    pool: dict[str, Any] = {
        "poolclass": MeasuredPool,
        "pool_size": settings.pool_size,
        "max_overflow": settings.max_overflow,
        "pool_timeout": settings.pool_timeout,
        "pool_recycle": settings.pool_recycle,
        "pool_pre_ping": settings.pre_ping,
        # The connection used last is used next, so that those above the need grow old and are recycled.
        "pool_use_lifo": True,
    }
    if not pooled:
        pool = {"poolclass": NullPool}
    if not settings.is_sqlite:
        return _postgresql(settings, application, settings.statement_timeout, pool)
    engine = _sqlite(settings, pool, isolation_level="IMMEDIATE", timeout=settings.pool_timeout)
    _on_connect(
        engine, ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON"]
    )
    event.listen(engine.sync_engine, "savepoint", _begin_before_savepoint)
    return engine


def migration_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Return an engine for migrations: no pool, no statement timeout, and DDL inside transactions on SQLite.

    On SQLite, foreign keys are off: a migration rebuilds a table by dropping it, which would delete or refuse
    for the sake of the rows that point at it. Who migrates checks the keys before the commit.
    """
    pool = {"poolclass": NullPool}
    if not settings.is_sqlite:
        return _postgresql(settings, "migrations", 0, pool)
    engine = _sqlite(settings, pool, isolation_level=None, timeout=MIGRATION_LOCK_WAIT)
    _on_connect(engine, ["PRAGMA journal_mode = WAL", "PRAGMA foreign_keys = OFF"])
    event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _postgresql(
    settings: DatabaseSettings, application: str, statement_timeout: float, pool: dict[str, Any]
) -> AsyncEngine:
    _, _, rest = settings.url.get_secret_value().partition("://")
    address, _, query = rest.partition("?")
    # asyncpg would send what it does not know to the server as a setting, which refuses this one of libpq's.
    options = [option for option in query.split("&") if option and not option.startswith("channel_binding=")]
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "dsn": f"postgresql://{address}{'?' if options else ''}{'&'.join(options)}",
            "timeout": settings.connect_timeout,
            "server_settings": {
                "application_name": application,
                "statement_timeout": str(round(statement_timeout * 1000)),
            },
        },
        echo=settings.echo,
        hide_parameters=True,
        **pool,
    )
    event.listen(engine.sync_engine, "handle_error", hide_values)
    return engine


def _sqlite(
    settings: DatabaseSettings, pool: dict[str, Any], *, isolation_level: str | None, timeout: float
) -> AsyncEngine:
    url = make_url(settings.url.get_secret_value()).set(drivername="sqlite+aiosqlite")
    engine = create_async_engine(
        url,
        connect_args={"isolation_level": isolation_level, "timeout": timeout},
        echo=settings.echo,
        hide_parameters=True,
        **pool,
    )

    def make_directory(_dialect: object, _record: object, arguments: Sequence[Any], _options: object) -> None:
        Path(arguments[0]).parent.mkdir(parents=True, exist_ok=True)

    event.listen(engine.sync_engine, "do_connect", make_directory)
    return engine


def _on_connect(engine: AsyncEngine, statements: Sequence[str]) -> None:
    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    event.listen(engine.sync_engine, "connect", prepare)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_before_savepoint(connection: Connection, _name: str) -> None:
    """Begin a transaction around the savepoint: without one, SQLite would commit when it is released."""
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
