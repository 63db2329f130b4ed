"""The `Tracing` object of an application: it begins the span of each request and owns what exports them."""

import asyncio
import random
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from opentelemetry.trace import (
    SpanContext,
    TraceFlags,
    get_current_span,
)

from chassis.tracing.current import PROPAGATOR, running
from chassis.tracing.request import RequestSpan
from chassis.tracing.settings import TracingSettings

if TYPE_CHECKING:
    from chassis.tracing.pipeline import Provider

_LOW_64_BITS = (1 << 64) - 1
_SAMPLED = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
_NOT_SAMPLED = TraceFlags(TraceFlags.RANDOM_TRACE_ID)
# What nearly every caller sends. OpenTelemetry's propagator, ten times slower, reads the rest.
_USUAL_PARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


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
        self._settings = settings
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
        if self.enabled and not self._started:
            self._started = True
            running.append(self._tracer)

    async def shutdown(self) -> None:
        """Export what is left, for at most the seconds of the setting; drop and count the rest."""
        if self.provider is None:
            return
        # Stays started: a request that comes too late does not bring it back.
        self._started = True
        if self._tracer in running:
            running.remove(self._tracer)
        await asyncio.to_thread(self.provider.shutdown)

    def start_request(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        scheme: str = "http",
        client: str | None = None,
    ) -> RequestSpan:
        """Begin the span of a request and make it current, in the caller's trace if it sent a valid one.

        `path` is without the query string, which may hold tokens and is not recorded.
        """
        if self.provider is None:
            return RequestSpan(0, 0, _NOT_SAMPLED, finish=_ignore)
        self.start()
        parents: list[bytes] = []
        states: list[bytes] = []
        user_agent = None
        for name, value in headers:
            if name == b"traceparent":
                parents.append(value)
            elif name == b"tracestate":
                states.append(value)
            elif name == b"user-agent":
                user_agent = value
        # Two of them are as invalid as none that can be read (W3C Trace Context, section 3.2).
        parent = _remote(parents[0], states) if len(parents) == 1 else None
        if parent is None:
            trace_id = random.getrandbits(128) or 1
            flags = _SAMPLED if trace_id & _LOW_64_BITS < self._bound else _NOT_SAMPLED
        else:
            trace_id = parent.trace_id
            flags = self._flags_after(parent)
        span = RequestSpan(
            trace_id,
            random.getrandbits(64) or 1,
            flags,
            parent=parent,
            tracer=self._tracer,
            finish=self._finish,
        )
        if span.sampled:
            span.begin(method, path, scheme=scheme, client=client, user_agent=user_agent)
        return span

    def _flags_after(self, parent: SpanContext) -> TraceFlags:
        if self._follow_parent:
            sampled = parent.trace_flags.sampled
        else:
            sampled = parent.trace_id & _LOW_64_BITS < self._bound
        return TraceFlags(parent.trace_flags & TraceFlags.RANDOM_TRACE_ID | sampled)


def _remote(traceparent: bytes, states: list[bytes]) -> SpanContext | None:
    usual = _USUAL_PARENT.fullmatch(traceparent)
    if usual is not None and not states:
        trace_id, span_id, flags = (int(group, 16) for group in usual.groups())
        return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    carrier: dict[str, list[str]] = {"traceparent": [traceparent.decode("latin-1")]}
    if states:
        carrier["tracestate"] = [state.decode("latin-1") for state in states]
    context = get_current_span(PROPAGATOR.extract(carrier)).get_span_context()
    return context if context.is_valid else None


def _ignore(_: RequestSpan) -> None:
    """Finish the span of an application that traces nothing."""
