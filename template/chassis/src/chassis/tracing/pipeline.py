"""The pipeline: provider, resource, conversion of request spans, exporters. Imported when tracing is on."""

import os
import platform
import sys
import uuid
from collections.abc import Callable, MutableMapping, Sequence

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AnyValue
from typing_extensions import override

from chassis.masking import mask_text
from chassis.tracing.attributes import SERVER_ERROR, attributes_of, name_of
from chassis.tracing.request import RequestSpan
from chassis.tracing.settings import TracingSettings, pairs
from chassis.tracing.span_queue import SpanQueue

_MAX_ATTRIBUTES = 128
_UNSET = Status(StatusCode.UNSET)
_ERROR = Status(StatusCode.ERROR)


class Provider(TracerProvider):
    """The tracer provider of one application. Request spans go past its processors, straight to the queue.

    A processor that a team adds sees request spans too, at their end: then each becomes an SDK span at once.
    """

    def __init__(self, queue: SpanQueue, *, resource: Resource, ratio: float, follow_parent: bool) -> None:
        root = TraceIdRatioBased(ratio)
        sampler = (
            ParentBased(root)
            if follow_parent
            else ParentBased(root, remote_parent_sampled=root, remote_parent_not_sampled=root)
        )
        super().__init__(sampler=sampler, resource=resource, shutdown_on_exit=False)
        self.queue = queue
        self._scope = InstrumentationScope("chassis")
        self._extended = False
        super().add_span_processor(queue)

    @override
    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        super().add_span_processor(span_processor)
        self._extended = True

    def finish(self, span: RequestSpan) -> None:
        """Hand a finished request span on. Never waits."""
        if self._extended:
            self._active_span_processor.on_end(self.readable(span))
        else:
            self.queue.put(span)

    def readable(self, span: RequestSpan) -> ReadableSpan:
        """Make an SDK span of a request span, with the attributes of OpenTelemetry's HTTP conventions."""
        server_error = span.error_type is not None or (span.status_code or 0) >= SERVER_ERROR
        attributes = _attributes(span)
        if span.attributes:  # of the application's making: their values are checked, and their number
            attributes = BoundedAttributes(_MAX_ATTRIBUTES, {**attributes, **span.attributes})
        return ReadableSpan(
            name=span.name or name_of(span.method, span.route),
            context=span.get_span_context(),
            parent=span.parent,
            resource=self.resource,
            attributes=attributes,
            events=[Event(name, facts, timestamp) for name, timestamp, facts in span.events],
            links=span.links,
            kind=SpanKind.SERVER,
            status=span.status or (_ERROR if server_error else _UNSET),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=self._scope,
        )


def make_provider(
    settings: TracingSettings,
    *,
    service: str,
    version: str,
    environment: str,
    on_dropped: Callable[[str, int], None] | None,
) -> Provider:
    """Build the pipeline. The queue's thread makes the exporter, so that nothing is open before a fork."""
    queue = SpanQueue(settings, exporter=exporter_factory(settings), on_dropped=on_dropped)
    provider = Provider(
        queue,
        resource=_resource(settings, service=service, version=version, environment=environment),
        ratio=settings.ratio,
        follow_parent=settings.sampler == "parentbased_traceidratio",
    )
    queue.convert = provider.readable
    if settings.protocol == "http/protobuf":
        queue.encode = _encoder(provider)
    return provider


def exporter_factory(settings: TracingSettings) -> Callable[[], SpanExporter]:
    """Import what the protocol needs and return how to make the exporter. Raise ImportError without it."""
    headers = pairs(settings.headers.get_secret_value()) if settings.headers else {}
    timeout = settings.export_timeout
    if settings.protocol == "console":
        return lambda: ConsoleSpanExporter(
            out=sys.stdout, formatter=lambda span: f"{span.to_json(indent=None)}\n"
        )
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

        # gRPC refuses metadata names in capitals.
        metadata = {name.lower(): value for name, value in headers.items()}
        return lambda: grpc.OTLPSpanExporter(endpoint=settings.collector, headers=metadata, timeout=timeout)
    from chassis.tracing.otlp import HttpExporter

    url = f"{settings.collector.rstrip('/').removesuffix('/v1/traces')}/v1/traces"
    return lambda: HttpExporter(endpoint=url, headers=headers, timeout=timeout)


def _encoder(provider: Provider) -> Callable[[Sequence[ReadableSpan | RequestSpan]], bytes]:
    from chassis.tracing.otlp import Encoder

    return Encoder(provider.readable).encode


def _resource(settings: TracingSettings, *, service: str, version: str, environment: str) -> Resource:
    return Resource(
        {
            "host.name": platform.node(),
            "process.pid": os.getpid(),
            **pairs(settings.resource_attributes),
            "service.name": service,
            "service.version": version,
            "service.instance.id": str(uuid.uuid4()),
            "deployment.environment.name": str(environment),
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": sdk_version,
        }
    )


def _attributes(span: RequestSpan) -> MutableMapping[str, AnyValue]:
    attributes: dict[str, AnyValue] = {
        **attributes_of(span.method, span.route, span.status_code, span.scheme, span.error_type),
        "url.path": mask_text(span.path),
    }
    if span.client is not None:
        attributes["client.address"] = mask_text(span.client)
    if span.user_agent is not None:
        attributes["user_agent.original"] = mask_text(span.user_agent.decode("latin-1"))
    return attributes
