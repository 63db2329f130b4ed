"""What a client sees when the database fails or refuses. Never SQL, never a value.

    ServiceError
     +-- Unavailable
     |    +-- DatabaseUnavailable  503  DATABASE_UNAVAILABLE  no connection, or it broke
     |    +-- DatabaseBusy         503  DATABASE_BUSY         no connection free in time, a lock, a deadlock
     +-- GatewayTimeout
     |    +-- DatabaseTimeout      504  DATABASE_TIMEOUT      a statement ran longer than it may
     +-- Conflict
     |    +-- DataConflict         409  DATA_CONFLICT         a constraint of the schema: unique, foreign key
     +-- ValidationFailed
          +-- DataRejected         422  DATA_REJECTED         a value that its column cannot hold

Everything else (a missing table, a wrong statement) is a defect of the service and is answered as a crash.

Sources: https://www.postgresql.org/docs/current/errcodes-appendix.html, https://www.sqlite.org/rescode.html
"""

import sqlite3
from typing import Any, ClassVar, Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from chassis.errors import Conflict, GatewayTimeout, ServiceError, Unavailable, ValidationFailed
from chassis.pattern import pattern
from chassis.structured import structlog

__all__ = [
    "DataConflict",
    "DataRejected",
    "DatabaseBusy",
    "DatabaseTimeout",
    "DatabaseUnavailable",
    "answer",
    "hide_values",
    "meaning",
    "unreachable",
]

# Where PostgreSQL or its driver begins to quote a value.
_A_VALUE: Final = pattern(r"[:\"']")
RETRY_AFTER: Final = 1.0
"""Seconds a client is asked to wait: an overloaded or restarting database is back soon, or not at all."""

_log = structlog.get_logger("chassis.database")


class DatabaseUnavailable(Unavailable):
    """503: the database cannot be reached, or the connection broke."""

    code = "DATABASE_UNAVAILABLE"
    default_detail: ClassVar[str | None] = "The database cannot be reached. Try again."


class DatabaseBusy(Unavailable):
    """503: the database answers, but had no connection or lock free in time."""

    code = "DATABASE_BUSY"
    default_detail: ClassVar[str | None] = "The database is busy. Try again."


class DatabaseTimeout(GatewayTimeout):
    """504: a statement ran longer than ``DATABASE_STATEMENT_TIMEOUT``."""

    code = "DATABASE_TIMEOUT"
    default_detail: ClassVar[str | None] = "The database took too long to answer."


class DataConflict(Conflict):
    """409: the change contradicts data that exists, by a constraint of the schema."""

    code = "DATA_CONFLICT"
    default_detail: ClassVar[str | None] = "The change conflicts with existing data."


class DataRejected(ValidationFailed):
    """422: a value that its column cannot hold."""

    code = "DATA_REJECTED"
    default_detail: ClassVar[str | None] = "A value does not fit what can be stored."


# By SQLSTATE, the longest prefix first.
_SQLSTATES: Final[tuple[tuple[str, type[ServiceError]], ...]] = (
    ("57014", DatabaseTimeout),  # query_canceled: the statement timeout
    ("55P03", DatabaseBusy),  # lock_not_available
    ("25006", DatabaseUnavailable),  # read_only_sql_transaction: a standby, during a failover
    ("57P", DatabaseUnavailable),  # shutting down, starting up, crashed
    ("08", DatabaseUnavailable),  # connection exceptions
    ("53", DatabaseUnavailable),  # too many connections, disk full, out of memory
    ("28", DatabaseUnavailable),  # wrong credentials: right again after a rotation
    ("3D", DatabaseUnavailable),  # the database does not exist (yet)
    ("40", DatabaseBusy),  # serialization failure, deadlock: the same request succeeds later
    ("23", DataConflict),
    ("22", DataRejected),
)
# By SQLite's primary result code.
_SQLITE_CODES: Final[dict[int, type[ServiceError]]] = {
    5: DatabaseBusy,  # BUSY
    6: DatabaseBusy,  # LOCKED
    8: DatabaseUnavailable,  # READONLY
    10: DatabaseUnavailable,  # IOERR
    13: DatabaseUnavailable,  # FULL
    14: DatabaseUnavailable,  # CANTOPEN
    18: DataRejected,  # TOOBIG
    19: DataConflict,  # CONSTRAINT
    20: DataRejected,  # MISMATCH
}


def answer(error: Exception) -> ServiceError:
    """Return what the client is told about a database error, and log its cause.

    Raises the error itself when it is a defect of the service: the request layer answers it as a crash.
    """
    kind = meaning(error)
    if kind is None:
        raise error
    told = kind(retry_after=RETRY_AFTER) if issubclass(kind, Unavailable) else kind()
    log = _log.warning if told.status >= 500 else _log.info  # noqa: PLR2004 - the first server error
    cause = error.driver_exception if isinstance(error, DBAPIError) else error
    log(
        "database_error",
        code=told.code,
        error_type=type(cause).__name__,
        sqlstate=getattr(cause, "sqlstate", None),
        constraint=getattr(cause, "constraint_name", None),
    )
    return told


def meaning(error: BaseException) -> type[ServiceError] | None:
    """Return the class of answer for a database error; None for a defect of the service."""
    if isinstance(error, PoolTimeoutError):
        return DatabaseBusy
    if isinstance(error, StaleDataError):
        return DataConflict
    if not isinstance(error, DBAPIError):
        return None
    if error.connection_invalidated or isinstance(error.orig, OSError):
        return DatabaseUnavailable
    return _by_code(error.orig)


def _by_code(original: BaseException | None) -> type[ServiceError] | None:
    if isinstance(original, sqlite3.Error):
        return _SQLITE_CODES.get(getattr(original, "sqlite_errorcode", 0) & 0xFF)
    sqlstate: str = getattr(original, "sqlstate", None) or ""
    return next((kind for prefix, kind in _SQLSTATES if sqlstate.startswith(prefix)), None)


def unreachable(error: OSError) -> OperationalError:
    """Return the SQLAlchemy error for a socket error that a driver lets through when it connects."""
    return OperationalError(None, None, error, hide_parameters=True)


def hide_values(failure: Any) -> None:
    """Take values out of an error of PostgreSQL and its causes: they would be in every traceback of it.

    A constraint's error tells the row in its detail, a rejected value's quotes it. SQLAlchemy calls this for each
    error (its event ``handle_error``).
    """
    error: Any = failure.original_exception
    sqlstate: str = getattr(error, "sqlstate", None) or ""
    if not sqlstate.startswith(("22", "23")):
        return
    said = ""
    if sqlstate.startswith("22"):
        said = f"{_A_VALUE.split(str(error), maxsplit=1)[0].rstrip()} (value hidden)"
        if failure.sqlalchemy_exception is not None:
            failure.sqlalchemy_exception.args = (f"({type(error).__name__}) {said}",)
    while error is not None:
        error.detail = None
        if said:
            error.args = (said,)
        error = error.__cause__
