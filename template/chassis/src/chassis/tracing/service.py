"""The `Tracing` object of an application: it begins the span of each request and owns what exports them."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from random import getrandbits
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Tracer, format_span_id, format_trace_id, get_current_span

from chassis.tracing.current import PROPAGATOR, active_tracers
from chassis.tracing.request import RANDOM, SAMPLED, SPAN_KEY, TRACER_KEY, RequestSpan, enter
from chassis.tracing.settings import TracingSettings

if TYPE_CHECKING:
    from chassis.tracing.pipeline import Provider

_LOW_64_BITS = (1 << 64) - 1
_NO_TRACE = "0" * 32
_HEADERS = frozenset({b"traceparent", b"tracestate", b"user-agent"})
# Without the call of an initializer: 800 instructions less for each request.
_new = object.__new__
# What nearly every caller sends. OpenTelemetry's propagator, ten times slower, reads the rest.
_usual_parent = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})").fullmatch


class Tracing:
    """Spans of one application. Off, it holds nothing and does not import the OpenTelemetry SDK.

    The tracer provider belongs to the application and is not made global: FastAPI and many libraries trace by
    themselves as soon as a global one exists. Pass `provider` to the instrumentation of a library instead.

    Raises ImportError when tracing is on and vendored-chassis[tracing] is not installed.
    """

    def __init__(
        self,
        settings: TracingSettings,
        *,
        service: str,
        version: str,
        environment: str,
        on_dropped: Callable[[str, int], None] | None = None,
    ) -> None:
        self.enabled = settings.enabled
        self.provider: Provider | None = None
        self._tracer: Tracer | None = None
        self._finish: Callable[[RequestSpan], None] = _ignore
        self._started = False
        if not settings.enabled:
            return
        try:
            from chassis.tracing.pipeline import make_provider

            self.provider = make_provider(
                settings, service=service, version=version, environment=environment, on_dropped=on_dropped
            )
        except ImportError as error:
            raise ImportError(
                "OTEL_ENABLED is true but OpenTelemetry is not installed: install vendored-chassis[tracing]"
            ) from error
        self._tracer = self.provider.get_tracer("chassis", version)
        self._finish = self.provider.finish
        self._follow_parent = settings.sampler == "parentbased_traceidratio"
        # As the SDK's TraceIdRatioBased decides, so that spans of one trace agree.
        self._bound = round(settings.ratio * (_LOW_64_BITS + 1))

    def start(self) -> None:
        """Let `traced`, logs and outgoing calls see the spans of this application. Does nothing when off."""
        if self._tracer is not None and not self._started:
            self._started = True
            active_tracers.append(self._tracer)

    async def shutdown(self) -> None:
        """Export what is left, for at most the seconds of the setting; drop and count the rest."""
        if self.provider is None:
            return
        # Stays started: a request that comes too late does not bring it back.
        self._started = True
        if self._tracer in active_tracers:
            active_tracers.remove(self._tracer)
        await asyncio.to_thread(self.provider.shutdown)

    def start_request(
        self,
        method: str,
        path: str,
        headers: dict[bytes, bytes] | Iterable[tuple[bytes, bytes]],
        scheme: str = "http",
        client: str | None = None,
    ) -> RequestSpan:
        """Begin the span of a request and make it current, in the caller's trace if it sent a valid one.

        `path` is without the query string, which may hold tokens and is not recorded. `headers` are ASGI's, or
        a dict of them in which lines of one name are joined by commas; names are in lower case.
        """
        span = _new(RequestSpan)
        tracer = self._tracer
        if tracer is None:
            span.trace_id = _NO_TRACE
            return span
        if not self._started:
            self.start()
        found = headers if isinstance(headers, dict) else _read(headers)
        given = found.get(b"traceparent")
        if given is None or not _follow(span, given, found):
            trace = getrandbits(128)
            span.trace_id = trace.to_bytes(16, "big").hex()
            sampled = trace & _LOW_64_BITS < self._bound
        else:
            if self._follow_parent:
                sampled = span.caller_flags & SAMPLED != 0
            else:
                sampled = int(span.trace_id[16:], 16) < self._bound
            span.flags = span.caller_flags & RANDOM
        if sampled:
            span.flags |= SAMPLED
            span.begin(method, path, scheme, client, found.get(b"user-agent"), finish=self._finish)
        span.token = enter(Context({SPAN_KEY: span, TRACER_KEY: tracer}))
        return span


def _read(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _HEADERS:
            found[name] = value if name not in found else found[name] + b"," + value
    return found


def _follow(span: RequestSpan, traceparent: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Put the span into the caller's trace; False when what the caller sent is not valid.

    Two lines are as invalid as none that can be read (W3C Trace Context, section 3.2): joined they are no parent.
    """
    usual = _usual_parent(traceparent)
    if usual is not None:
        trace, caller, flags = usual.groups()
        span.trace_id, span.caller_id, span.caller_flags = trace.decode(), caller.decode(), int(flags, 16)
    else:
        context = get_current_span(
            PROPAGATOR.extract({"traceparent": traceparent.decode("latin-1")})
        ).get_span_context()
        if not context.is_valid:
            return False
        span.trace_id, span.caller_id = format_trace_id(context.trace_id), format_span_id(context.span_id)
        span.caller_flags = context.trace_flags
    span.caller_state = headers.get(b"tracestate")
    span.own_id = f"{getrandbits(64) or 1:016x}"
    return True


def _ignore(_: RequestSpan) -> None:
    """Finish the span of an application that traces nothing."""
