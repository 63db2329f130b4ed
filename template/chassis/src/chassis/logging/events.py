"""Helpers for the four kinds of events that dashboards and searches rely on: the same field names everywhere.

Durations are in milliseconds, in ``duration_ms``. Further fields are added as they are.
"""

from collections.abc import Mapping

from chassis.structured import structlog

_API = structlog.get_logger("chassis.api")
_TASKS = structlog.get_logger("chassis.tasks")
_SECURITY = structlog.get_logger("chassis.security")
_DATABASE = structlog.get_logger("chassis.database")

_FIRST_CLIENT_ERROR = 400
_FIRST_SERVER_ERROR = 500
_LEVELS = {"low": "info", "medium": "warning", "high": "error", "critical": "critical"}


def log_api_call(
    target: str,
    *,
    method: str,
    url: str,
    duration_seconds: float,
    status: int | None = None,
    error: BaseException | None = None,
    **fields: object,
) -> None:
    """Log a call to another service: ``target``, ``method``, ``url``, ``status``, ``duration_ms``, ``error``.

    A status from 500 or an error is an error, a status from 400 a warning.
    """
    failed = error is not None or (status is not None and status >= _FIRST_SERVER_ERROR)
    level = (
        "error" if failed else "warning" if status is not None and status >= _FIRST_CLIENT_ERROR else "info"
    )
    own = {
        "target": target,
        "method": method,
        "url": url,
        "status": status,
        **_outcome(duration_seconds, error),
    }
    getattr(_API, level)("api_call", **{**fields, **own})


def log_task(
    task: str,
    outcome: str,
    *,
    duration_seconds: float | None = None,
    attempt: int | None = None,
    error: BaseException | None = None,
    **fields: object,
) -> None:
    """Log a background task: ``task``, ``outcome``, ``attempt``, ``duration_ms``, ``error``.

    ``outcome`` is started, succeeded, failed or a word of your own; failed and any error are errors.
    """
    own = {"task": task, "outcome": outcome, "attempt": attempt, **_outcome(duration_seconds, error)}
    level = "error" if error is not None or outcome == "failed" else "info"
    getattr(_TASKS, level)("task", **{**fields, **_present(own)})


def log_security_event(
    kind: str,
    *,
    severity: str = "medium",
    outcome: str | None = None,
    actor: str | None = None,
    client: str | None = None,
    reason: str | None = None,
    **fields: object,
) -> None:
    """Log what a security team searches for.

    Fields: ``kind`` (a word such as login or access_denied), ``severity`` (low is logged as info, medium as
    warning, high as error, critical as critical), ``outcome``, ``actor``, ``client``, ``reason``.
    """
    own = {
        "kind": kind,
        "severity": severity,
        "outcome": outcome,
        "actor": actor,
        "client": client,
        "reason": reason,
    }
    getattr(_SECURITY, _LEVELS.get(severity, "warning"))("security_event", **{**fields, **_present(own)})


def log_database_operation(
    operation: str,
    *,
    table: str | None = None,
    duration_seconds: float | None = None,
    rows: int | None = None,
    error: BaseException | None = None,
    **fields: object,
) -> None:
    """Log a database operation: ``operation``, ``table``, ``rows``, ``duration_ms``, ``error``.

    Debug level, unless there is an error.
    """
    own = {"operation": operation, "table": table, "rows": rows, **_outcome(duration_seconds, error)}
    log = _DATABASE.debug if error is None else _DATABASE.error
    log("database_operation", **{**fields, **_present(own)})


def milliseconds(seconds: float) -> float:
    """Return a duration for ``duration_ms``: milliseconds with three decimals."""
    try:
        return round(seconds * 1_000_000) / 1000  # a third of the time of round(..., 3)
    except (OverflowError, ValueError):  # infinite, or not a number
        return seconds


def _outcome(duration_seconds: float | None, error: BaseException | None) -> dict[str, object]:
    return _present(
        {
            "duration_ms": None if duration_seconds is None else milliseconds(duration_seconds),
            "error": None if error is None else f"{type(error).__name__}: {error}",
        }
    )


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
