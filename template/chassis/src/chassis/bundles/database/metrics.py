"""What is measured about connections and statements.

``service_db_pool_size``: connections that the pool keeps, ``_active`` in use, ``_idle`` open and free,
``_overflow`` open above the size; read from the pool at each scrape, summed over workers.
``service_db_pool_wait_seconds``: how long callers waited for a connection, opening one included.
``service_db_pool_exhausted_total``: callers that got none in time. ``service_db_connection_errors_total``:
connections that could not be opened. ``service_db_query_duration_seconds`` and
``service_db_slow_queries_total``: statements by their first word.
"""

from time import perf_counter
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis.bundles.database.engine import measured_pool
from chassis.metrics import Metrics
from chassis.structured import structlog

__all__ = ["DatabaseMetrics"]

OPERATIONS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
"""Values of the label ``operation``; every other statement is OTHER."""
LONGEST_STATEMENT: Final = 2_000
"""Characters of a slow statement that are logged."""
_STARTED: Final = "_chassis_started"

_log = structlog.get_logger("chassis.database")


class DatabaseMetrics:
    """The metrics of one engine."""

    def __init__(self, metrics: Metrics, *, slow_query_ms: int) -> None:
        self._slow_seconds = slow_query_ms / 1000
        self._size = metrics.gauge(
            "service_db_pool_size", "Connections that the pools keep open.", aggregation="sum"
        )
        self._active = metrics.gauge("service_db_pool_active", "Connections in use.", aggregation="sum")
        self._idle = metrics.gauge("service_db_pool_idle", "Connections open and free.", aggregation="sum")
        self._overflow = metrics.gauge(
            "service_db_pool_overflow", "Connections open above the pool size.", aggregation="sum"
        )
        self._wait = metrics.histogram(
            "service_db_pool_wait_seconds", "Seconds that callers waited for a connection."
        )
        self._exhausted = metrics.counter(
            "service_db_pool_exhausted_total", "Callers that got no connection within the pool timeout."
        )
        self._connection_errors = metrics.counter(
            "service_db_connection_errors_total", "Connections that could not be opened.", ("type",)
        )
        durations = metrics.histogram(
            "service_db_query_duration_seconds", "Seconds that statements took.", ("operation",)
        )
        slow = metrics.counter(
            "service_db_slow_queries_total", "Statements slower than DATABASE_SLOW_QUERY_MS.", ("operation",)
        )
        operations = [*OPERATIONS, "OTHER"]
        self._durations = {operation: durations.labels(operation) for operation in operations}
        self._slow = {operation: slow.labels(operation) for operation in operations}

    def watch(self, engine: AsyncEngine) -> None:
        """Measure an engine's statements, and its pool."""
        measured_pool(engine).on_checkout = self._checked_out
        self._size.set_function(lambda: measured_pool(engine).size())
        self._active.set_function(lambda: measured_pool(engine).checkedout())
        self._idle.set_function(lambda: measured_pool(engine).checkedin())
        self._overflow.set_function(lambda: max(0, measured_pool(engine).overflow()))
        event.listen(engine.sync_engine, "before_cursor_execute", _started)
        event.listen(engine.sync_engine, "after_cursor_execute", self._finished)
        event.listen(engine.sync_engine, "handle_error", self._failed)

    def _checked_out(self, seconds: float, error: Exception | None) -> None:
        self._wait.observe(seconds)
        if isinstance(error, PoolTimeoutError):
            self._exhausted.inc()
        elif error is not None:
            self._connection_errors.labels(type(error).__name__).inc()

    def _finished(
        self,
        _connection: object,
        _cursor: object,
        statement: str,
        _parameters: object,
        context: Any,
        _many: object,
    ) -> None:
        self._observe(statement, context)

    def _failed(self, failure: Any) -> None:
        if failure.execution_context is not None and failure.statement is not None:
            self._observe(failure.statement, failure.execution_context)

    def _observe(self, statement: str, context: Any) -> None:
        started: float | None = getattr(context, _STARTED, None)
        if started is None:  # it failed before it was sent
            return
        seconds = perf_counter() - started
        operation = statement.lstrip()[:6].upper()
        if operation not in OPERATIONS:
            operation = "OTHER"
        self._durations[operation].observe(seconds)
        if seconds >= self._slow_seconds:
            self._slow[operation].inc()
            _log.warning(
                "slow_query",
                statement=statement[:LONGEST_STATEMENT],
                duration_ms=round(seconds * 1000, 1),
                threshold_ms=round(self._slow_seconds * 1000),
            )


def _started(
    _connection: object, _cursor: object, _statement: object, _parameters: object, context: Any, _many: object
) -> None:
    setattr(context, _STARTED, perf_counter())
