"""Traces by OpenTelemetry: off by default and then free, on by OTEL_ENABLED=true.

Read in this order: `service` (`Tracing`), `request` (the span of a request), `decorator` (`traced`), then
`current` (ids for logs, headers for calls), `pipeline` and `span_queue` (provider, exporters and the queue
before them; only these two import the SDK).
"""

from chassis.tracing.current import current_trace_ids, inject
from chassis.tracing.decorator import traced
from chassis.tracing.request import RequestSpan
from chassis.tracing.service import Tracing
from chassis.tracing.settings import TracingSettings

__all__ = ["RequestSpan", "Tracing", "TracingSettings", "current_trace_ids", "inject", "traced"]
