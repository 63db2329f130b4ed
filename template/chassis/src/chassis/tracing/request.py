"""The span of a request: a small object, of which the exporter's thread makes an SDK span.

Most requests are not sampled, so what only a sampled one needs is made when it is asked for.
"""

import time
from collections.abc import Callable, Mapping
from contextvars import Token

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AnyValue, Attributes
from typing_extensions import override

from chassis.tracing.current import TRACER_KEY
from chassis.tracing.failure import failure_attributes, type_name

_MAX_EVENTS = 128
# The key under which OpenTelemetry keeps the current span, which it has no public name for.
_SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))


class RequestSpan(Span):
    """The server span of one request, current from its making until `detach`.

    `trace_id` and `span_id` are in hex. `end` may be called in another task than the one that made the span;
    `detach` must be called in the same one. When the trace is not sampled only the ids matter.
    """

    # What few spans need has its default here, so that making a span sets little.
    name: str | None = None
    status: Status | None = None
    route: str | None = None
    status_code: int | None = None
    error_type: str | None = None
    end_time: int | None = None
    attributes: Mapping[str, AnyValue] = {}
    events: tuple[tuple[str, int, Attributes], ...] = ()
    links: tuple[Link, ...] = ()
    _context: SpanContext | None = None
    _token: Token[Context] | None = None

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        flags: TraceFlags,
        *,
        parent: SpanContext | None = None,
        tracer: Tracer | None = None,
        finish: Callable[["RequestSpan"], None],
    ) -> None:
        self.trace_id = f"{trace_id:032x}"
        self.span_id = f"{span_id:016x}"
        self.sampled = flags & TraceFlags.SAMPLED != 0
        self.parent = parent
        self._ids = trace_id, span_id, flags
        self._finish = finish
        if tracer is not None:
            self._token = attach(Context({_SPAN_KEY: self, TRACER_KEY: tracer}))

    def begin(
        self, method: str, path: str, *, scheme: str, client: str | None, user_agent: bytes | None
    ) -> None:
        """Note what a sampled request is."""
        self.method = method
        self.path = path
        self.scheme = scheme
        self.client = client
        self.user_agent = user_agent
        self.start_time = time.time_ns()

    @override
    def end(
        self,
        end_time: int | None = None,
        *,
        route: str | None = None,
        status: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End the span; only the first call counts. `route` is a template, None when no route matched."""
        if not self.is_recording():
            return
        self.route = route
        self.status_code = status
        if error is not None:
            self.error_type = type_name(error)
            self.add_event("exception", failure_attributes(error))
        self.end_time = time.time_ns() if end_time is None else end_time
        self._finish(self)

    def detach(self) -> None:
        """Make current again what was before."""
        if self._token is not None:
            detach(self._token)
            self._token = None

    @override
    def get_span_context(self) -> SpanContext:
        if self._context is None:
            trace_id, span_id, flags = self._ids
            state = None if self.parent is None else self.parent.trace_state
            self._context = SpanContext(
                trace_id, span_id, is_remote=False, trace_flags=flags, trace_state=state
            )
        return self._context

    @override
    def is_recording(self) -> bool:
        return self.sampled and self.end_time is None

    @override
    def set_attribute(self, key: str, value: AnyValue) -> None:
        self.set_attributes({key: value})

    @override
    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        if self.is_recording():
            self.attributes = {**self.attributes, **attributes}

    @override
    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self.is_recording() and len(self.events) < _MAX_EVENTS:
            self.events += ((name, timestamp or time.time_ns(), attributes),)

    @override
    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if self.is_recording() and len(self.links) < _MAX_EVENTS:
            self.links += (Link(context, attributes),)

    @override
    def update_name(self, name: str) -> None:
        if self.is_recording():
            self.name = name

    @override
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self.is_recording():
            self.status = status if isinstance(status, Status) else Status(status, description)

    @override
    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self.add_event("exception", {**failure_attributes(exception), **(attributes or {})}, timestamp)
