"""A span for each statement, when tracing is on.

It carries what the statement does and to which table, as the semantic conventions name it. Neither the text
of the statement nor its parameters are recorded: a literal in the text may be anybody's data.

Source: https://opentelemetry.io/docs/specs/semconv/database/database-spans/
"""

import re
from typing import Any, Final

from opentelemetry.trace import SpanKind, StatusCode, TracerProvider
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["trace_statements"]

_SPAN: Final = "_chassis_span"
_TABLE: Final = re.compile(r'\b(?:FROM|INTO|UPDATE)\s+"?([\w.]+)', re.IGNORECASE)


def trace_statements(engine: AsyncEngine, provider: TracerProvider) -> None:
    """Record each statement of the engine as a child of the span that is current when it runs."""
    tracer = provider.get_tracer("chassis.bundles.database")
    system = engine.dialect.name

    def begin(
        _connection: object, _cursor: object, statement: str, _parameters: object, context: Any, _many: object
    ) -> None:
        operation = statement.split(None, 1)[0].upper()
        table = _TABLE.search(statement)
        summary = operation if table is None else f"{operation} {table[1]}"
        attributes = {
            "db.system.name": system,
            "db.operation.name": operation,
            "db.query.summary": summary,
        }
        setattr(context, _SPAN, tracer.start_span(summary, kind=SpanKind.CLIENT, attributes=attributes))

    def end(
        _connection: object,
        _cursor: object,
        _statement: object,
        _parameters: object,
        context: Any,
        _many: object,
    ) -> None:
        getattr(context, _SPAN).end()

    def fail(failure: Any) -> None:
        span = getattr(failure.execution_context, _SPAN, None)
        if span is not None:
            span.set_attribute("error.type", type(failure.original_exception).__name__)
            span.set_status(StatusCode.ERROR)
            span.end()

    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", end)
    event.listen(engine.sync_engine, "handle_error", fail)
