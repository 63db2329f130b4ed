"""What is current: the tracer of the request's application, and the ids of the running span."""

from collections.abc import Mapping, MutableMapping

from opentelemetry.context import get_value
from opentelemetry.trace import (
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.tracing.request import TRACER_KEY, RequestSpan

PROPAGATOR = TraceContextTextMapPropagator()

# The tracers of this process's applications that have tracing on and are started: empty means off, and that
# is all that the code below then looks at.
active_tracers: list[Tracer] = []


def current_tracer() -> Tracer | None:
    """Return the tracer of the request's application, outside requests the first one's; None when off."""
    if not active_tracers:
        return None
    tracer = get_value(TRACER_KEY)
    return tracer if isinstance(tracer, Tracer) else active_tracers[0]


def current_trace_ids() -> Mapping[str, object]:
    """Return `trace_id` and `span_id` in hex for a log line, or nothing when no span is current."""
    if not active_tracers:
        return {}
    span = get_current_span()
    if isinstance(span, RequestSpan):
        # As nearly every line has it: a span context need not be made for it.
        return {"trace_id": span.trace_id, "span_id": span.span_id}
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}


def inject(headers: MutableMapping[str, str]) -> None:
    """Add `traceparent` and `tracestate` (W3C Trace Context) for a call. Does nothing when off."""
    if active_tracers:
        PROPAGATOR.inject(headers)
