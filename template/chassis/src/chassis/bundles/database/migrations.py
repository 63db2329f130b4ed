"""Migrations: Alembic, told everything in code, so that a service needs no ``alembic.ini``.

A migration runs in one transaction on both databases: it applies whole or not at all. One process at a time
migrates a database; others wait for it and then find nothing to do, so that many replicas may start at once.

``migrations/env.py`` of a service is one line, ``run(Base.metadata)``.
"""

import asyncio
import importlib.util
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

import structlog
from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.bundles.database.engine import MIGRATION_LOCK_WAIT, migration_engine
from chassis.bundles.database.models import UtcDateTime
from chassis.bundles.database.settings import DatabaseSettings

__all__ = ["MigrationError", "Migrations", "in_transaction", "run"]

LOCK_POLL: Final = 0.1
"""Seconds between two attempts to become the process that migrates."""
# "chassis" as a number: the advisory lock that migrating processes of one PostgreSQL database share.
_LOCK_KEY: Final = int.from_bytes(b"chassis")
# Alembic keeps the state of a command in its module: two threads would mix theirs.
_one_at_a_time = threading.Lock()

_log = structlog.get_logger("chassis.database")

T = TypeVar("T")


class MigrationError(RuntimeError):
    """Migrations that cannot be found or applied; the message says what to do."""


class Migrations:
    """The migrations of one database.

    Every method blocks and opens connections of its own: call it from a thread where an event loop runs.
    Raises ``MigrationError``, and SQLAlchemy's errors when the database fails.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    def upgrade(self, revision: str = "head") -> None:
        """Apply migrations up to a revision."""
        self._command(lambda config: command.upgrade(config, revision))

    def downgrade(self, revision: str) -> None:
        """Undo migrations down to a revision: ``-1`` the last one, ``base`` all of them."""
        self._command(lambda config: command.downgrade(config, revision))

    def revision(self, message: str, *, autogenerate: bool = True) -> Path:
        """Write a new migration and return its file.

        With ``autogenerate`` the database is upgraded first, and the migration holds what the models have and
        the database has not; ``MigrationError`` if that is nothing. Read it before you apply it.
        """
        if autogenerate:
            self.upgrade()

        def write(config: Config) -> object:
            config.attributes["autogenerate"] = autogenerate
            return command.revision(config, message=message, autogenerate=autogenerate)

        return _written(self._command(write))

    def current(self) -> str | None:
        """Return the revision of the database; None before the first migration."""

        def read(connection: Connection) -> str | None:
            return MigrationContext.configure(connection).get_current_revision()

        return in_transaction(self._settings, read)

    def heads(self) -> tuple[str, ...]:
        """Return the revisions that no migration follows: with more than one, branches must be merged."""
        return tuple(ScriptDirectory.from_config(self._config()).get_heads())

    def merge(self, message: str = "merge") -> Path:
        """Write a migration that joins all heads, and return its file."""
        if len(self.heads()) == 1:
            raise MigrationError("there is one newest migration: there is nothing to merge")
        script = command.merge(self._config(), "heads", message=message)
        return _written(script)

    def differences(self, metadata: MetaData) -> list[Any]:
        """Return what models and database disagree about, as Alembic's operations; empty if they agree."""

        def compare(connection: Connection) -> list[Any]:
            migration = MigrationContext.configure(connection, opts=_COMPARISON)
            return cast("list[Any]", compare_metadata(migration, metadata))

        return in_transaction(self._settings, compare)

    def _command(self, work: Callable[[Config], T]) -> T:
        config = self._config()

        def with_connection(connection: Connection) -> T:
            config.attributes["connection"] = connection
            return work(config)

        try:
            return in_transaction(self._settings, with_connection)
        except CommandError as error:
            raise MigrationError(str(error)) from error

    def _config(self) -> Config:
        directory = self._settings.migrations.resolve()
        if not (directory / "env.py").is_file():
            raise MigrationError(
                f"there are no migrations in {directory}: start in the service's directory, "
                "or set DATABASE_MIGRATIONS"
            )
        config = Config()
        for name, value in {
            "script_location": str(directory),
            "path_separator": "newline",
            "file_template": "%(year)d%(month).2d%(day).2d_%(rev)s_%(slug)s",
        }.items():
            config.set_main_option(name, value.replace("%", "%%"))
        if importlib.util.find_spec("ruff") is not None:
            # What is generated looks as the service's own code does.
            for name, value in {
                "hooks": "sort,format",
                "sort.type": "module",
                "sort.module": "ruff",
                "sort.options": "check --quiet --select I --fix REVISION_SCRIPT_FILENAME",
                "format.type": "module",
                "format.module": "ruff",
                "format.options": "format --quiet REVISION_SCRIPT_FILENAME",
            }.items():
                config.set_section_option("post_write_hooks", name, value)
        return config


def run(metadata: MetaData, **options: Any) -> None:
    """Run the migrations that a command asks for; ``migrations/env.py`` calls it with the service's metadata.

    ``options`` are passed to Alembic's ``context.configure``. Raises ``MigrationError`` when Alembic was
    started by its own command line, which knows nothing of the service's settings.
    """
    connection: Connection | None = context.config.attributes.get("connection")
    if connection is None:
        raise MigrationError("run migrations with `make migrate` or `python -m chassis.bundles.database`")
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=sqlite,
        transactional_ddl=True,
        process_revision_directives=_drop_empty,
        render_item=_render,
        **{**_COMPARISON, **options},
    )
    with context.begin_transaction():
        context.run_migrations()
        if sqlite:
            _check_foreign_keys(connection)


_COMPARISON: Final = {"compare_type": True, "compare_server_default": True}


def in_transaction(settings: DatabaseSettings, work: Callable[[Connection], T]) -> T:
    """Do work on a connection of its own, while no other process migrates the same database."""

    async def connect() -> T:
        engine = migration_engine(settings)
        try:
            async with engine.connect() as connection:
                await _be_alone(connection)
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    with _one_at_a_time:
        return asyncio.run(connect())


async def _be_alone(connection: AsyncConnection) -> None:
    """Take the database's migration lock; it is freed with the connection.

    On SQLite the transaction itself is the lock. On PostgreSQL this asks again and again instead of waiting
    inside the server: a statement that waits there has a snapshot, and CREATE INDEX CONCURRENTLY in the
    process that migrates would wait for it for ever.
    """
    if connection.dialect.name != "postgresql":
        return
    deadline = time.monotonic() + MIGRATION_LOCK_WAIT
    waiting = False
    while not await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}):
        await connection.rollback()
        if not waiting:
            _log.info("migration_waits", reason="another process migrates this database")
            waiting = True
        if time.monotonic() > deadline:
            raise MigrationError("another process has been migrating this database for too long")
        await asyncio.sleep(LOCK_POLL)
    await connection.commit()


def _check_foreign_keys(connection: Connection) -> None:
    """Refuse the commit when a row points at nothing: the keys were off, so that tables could be rebuilt."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        tables = ", ".join(sorted({str(row[0]) for row in broken}))
        raise MigrationError(
            f"the migration would leave rows whose foreign keys point at nothing, in: {tables}"
        )


def _written(script: object) -> Path:
    if not isinstance(script, Script):
        raise MigrationError("models and migrations agree: there is nothing to write")
    return Path(script.path)


def _drop_empty(_context: object, _revision: object, directives: list[Any]) -> None:
    """Write no migration that changes nothing, unless an empty one was asked for."""
    operations = directives[0].upgrade_ops
    if context.config.attributes.get("autogenerate") and operations.is_empty():
        directives.clear()


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write ``UtcDateTime`` as what it is in the database, so that migrations need SQLAlchemy alone."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False
