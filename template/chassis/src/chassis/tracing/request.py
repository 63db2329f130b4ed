"""The span of a request: a small object, of which the exporter's thread makes what is sent.

Most requests are not sampled. Of those there are an id and a context variable; what is made of the id
(OpenTelemetry's span context) is made when somebody asks.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from time import time_ns

from opentelemetry import context as opentelemetry_context
from opentelemetry.context import Context, attach, create_key, detach
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import AnyValue, Attributes
from typing_extensions import override

from chassis.tracing.failure import failure_attributes, type_name

TRACER_KEY = create_key("chassis-tracer")
# The key under which OpenTelemetry keeps the current span, which it has no public name for.
SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
SAMPLED, RANDOM = int(TraceFlags.SAMPLED), int(TraceFlags.RANDOM_TRACE_ID)

_MAX_EVENTS = 128
# As the access line has them. A client chooses both, and thousands of spans may wait for a collector.
_LONGEST_PATH = 2_048
_LONGEST_AGENT = 512


def _switches() -> tuple[Callable[[Context], Token[Context]], Callable[[Token[Context]], None]]:
    """Return how to make a context current and how to undo it.

    That is the variable in which OpenTelemetry's own implementation keeps it: `attach` and `detach`, four
    calls between here and there, take 3,100 instructions, the variable 1,500.
    """
    variable = getattr(opentelemetry_context._RUNTIME_CONTEXT, "_current_context", None)  # noqa: SLF001  # or else the public functions
    return (variable.set, variable.reset) if isinstance(variable, ContextVar) else (attach, detach)


enter, leave = _switches()


class RequestSpan(Span):
    """The server span of one request, current from its making until `detach`.

    `Tracing.start_request` makes it, and sets `trace_id`: 32 hexadecimal digits. `end` may be called in another
    task than the one that made the span; `detach` must be called in the same one. When the trace is not
    sampled only the ids matter.
    """

    # What few spans need has its default here, so that making a span sets little.
    trace_id: str
    sampled: bool = False
    flags: int = RANDOM
    token: Token[Context] | None = None
    own_id: str | None = None
    caller_id: str | None = None
    """The span of the caller in hex; None when the trace begins here."""
    caller_flags: int = 0
    caller_state: bytes | None = None
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

    def begin(
        self,
        method: str,
        path: str,
        scheme: str,
        client: str | None,
        user_agent: bytes | None,
        *,
        finish: Callable[["RequestSpan"], None],
    ) -> None:
        """Note what a sampled request is."""
        if len(path) > _LONGEST_PATH:
            path = f"{path[:_LONGEST_PATH].rpartition('/')[0]}/..."
        if user_agent is not None and len(user_agent) > _LONGEST_AGENT:
            user_agent = user_agent[:_LONGEST_AGENT]
            user_agent = user_agent.rpartition(b" ")[0] or user_agent
        self.sampled = True
        self.method = method
        self.path = path
        self.scheme = scheme
        self.client = client
        self.user_agent = user_agent
        self.finish = finish
        self.start_time = time_ns()

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
        if not self.sampled or self.end_time is not None:
            return
        self.route = route
        self.status_code = status
        if error is not None:
            self.error_type = type_name(error)
            self.add_event("exception", failure_attributes(error))
        self.end_time = time_ns() if end_time is None else end_time
        self.finish(self)

    def detach(self) -> None:
        """Make current again what was before."""
        if self.token is not None:
            leave(self.token)
            self.token = None

    @property
    def span_id(self) -> str:
        """The id of the span: 16 hexadecimal digits.

        That of the first span of a trace is half of the trace's id, which is as random and costs no numbers.
        """
        return self.own_id or self.trace_id[:16]

    @property
    def parent(self) -> SpanContext | None:
        """The caller's span, None when the trace begins here."""
        if self.caller_id is None:
            return None
        return SpanContext(
            int(self.trace_id, 16),
            int(self.caller_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(self.caller_flags),
            trace_state=self._state(),
        )

    @override
    def get_span_context(self) -> SpanContext:
        if self._context is None:
            self._context = SpanContext(
                int(self.trace_id, 16),
                int(self.span_id, 16),
                is_remote=False,
                trace_flags=TraceFlags(self.flags),
                trace_state=self._state(),
            )
        return self._context

    def _state(self) -> TraceState | None:
        # A state that is not valid is empty, and the parent is kept (W3C Trace Context, section 3.3.1).
        return TraceState.from_header([self.caller_state.decode("latin-1")]) if self.caller_state else None

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
            self.events += ((name, timestamp or time_ns(), attributes),)

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
