"""The database bundle: SQLAlchemy sessions on SQLite or PostgreSQL, and their migrations.

- ``Database``: the bundle; ``Database(settings.database)`` is the one line in ``app.py``
- ``DatabaseSettings``: what it can be told (``DATABASE_URL`` and the like)
- ``Base``, ``UtcDateTime``: the base of a service's models, and the type of a moment in them
- ``Session``: the type of an endpoint's session parameter
- ``DatabaseUnavailable``, ``DatabaseBusy``, ``DatabaseTimeout``, ``DataConflict``, ``DataRejected``: what
  clients see when the database fails or refuses
- ``Migrations``: upgrade, downgrade, write and check migrations; ``python -m chassis.bundles.database`` on
  the command line
- ``assert_models_match_migrations``: the test that models and migrations agree

A name is loaded when it is first used: the settings need no SQLAlchemy, the rest needs the extra
``vendored-chassis[database]``.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chassis.bundles.database.bundle import Database
    from chassis.bundles.database.dependency import Session
    from chassis.bundles.database.errors import (
        DatabaseBusy,
        DatabaseTimeout,
        DatabaseUnavailable,
        DataConflict,
        DataRejected,
    )
    from chassis.bundles.database.migrations import Migrations
    from chassis.bundles.database.models import Base, UtcDateTime
    from chassis.bundles.database.settings import DatabaseSettings
    from chassis.bundles.database.testing import assert_models_match_migrations

__all__ = [
    "Base",
    "DataConflict",
    "DataRejected",
    "Database",
    "DatabaseBusy",
    "DatabaseSettings",
    "DatabaseTimeout",
    "DatabaseUnavailable",
    "Migrations",
    "Session",
    "UtcDateTime",
    "assert_models_match_migrations",
]

_MODULES: Final = {
    "Base": "models",
    "DataConflict": "errors",
    "DataRejected": "errors",
    "Database": "bundle",
    "DatabaseBusy": "errors",
    "DatabaseSettings": "settings",
    "DatabaseTimeout": "errors",
    "DatabaseUnavailable": "errors",
    "Migrations": "migrations",
    "Session": "dependency",
    "UtcDateTime": "models",
    "assert_models_match_migrations": "testing",
}
_DRIVERS: Final = frozenset({"aiosqlite", "alembic", "asyncpg", "greenlet", "sqlalchemy"})


def __getattr__(name: str) -> object:
    """Load a name from its module. Raises ``ImportError`` naming the extra that is not installed."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _DRIVERS:
            raise
        raise ImportError(
            f"the database bundle needs {error.name}: install the extra vendored-chassis[database]"
        ) from error
    value: object = getattr(module, name)
    globals()[name] = value
    return value
