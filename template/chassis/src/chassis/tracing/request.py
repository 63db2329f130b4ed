"""The span of a request: a small object, of which the exporter's thread makes an SDK span."""

import time
from collections.abc import Callable, Mapping
from contextvars import Token
from dataclasses import dataclass

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    Status,
    StatusCode,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.util.types import AnyValue, Attributes
from typing_extensions import override

from chassis.tracing.failure import failure_attributes, type_name

_MAX_EVENTS = 128


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a request when it begins."""

    method: str
    path: str
    scheme: str
    client: str | None
    user_agent: str | None


class RequestSpan(Span):
    """The server span of one request, current from its making until `detach`.

    `trace_id` and `span_id` are in hex. `end` may be called in another task than the one that made the
    span; `detach` must be called in the same one. When the trace is not sampled only the ids matter.
    """

    def __init__(
        self,
        request: Request,
        context: SpanContext,
        *,
        parent: SpanContext | None,
        base: Context | None,
        finish: Callable[["RequestSpan"], None],
    ) -> None:
        self.request = request
        self.context = context
        self.parent = parent
        self.trace_id = format_trace_id(context.trace_id)
        self.span_id = format_span_id(context.span_id)
        self.sampled = context.trace_flags.sampled
        self.start_time = time.time_ns()
        self.end_time: int | None = None
        self.route: str | None = None
        self.status_code: int | None = None
        self.error_type: str | None = None
        self.name: str | None = None
        self.status: Status | None = None
        self.attributes: dict[str, AnyValue] = {}
        self.events: list[tuple[str, int, Mapping[str, AnyValue]]] = []
        self.links: list[Link] = []
        self._finish = finish
        self._token: Token[Context] | None = None if base is None else attach(set_span_in_context(self, base))

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
        return self.context

    @override
    def is_recording(self) -> bool:
        return self.sampled and self.end_time is None

    @override
    def set_attribute(self, key: str, value: AnyValue) -> None:
        if self.is_recording():
            self.attributes[key] = value

    @override
    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        if self.is_recording():
            self.attributes.update(attributes)

    @override
    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self.is_recording() and len(self.events) < _MAX_EVENTS:
            self.events.append((name, timestamp or time.time_ns(), attributes or {}))

    @override
    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if self.is_recording() and len(self.links) < _MAX_EVENTS:
            self.links.append(Link(context, attributes))

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
