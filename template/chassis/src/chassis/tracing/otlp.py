"""OTLP: request spans written as bytes of the protocol, and the exporter that sends such bytes.

OpenTelemetry's encoder makes a dozen protobuf objects of a span: 33 us in which no request runs. Spans of requests
have few shapes, so here they are written in 5 us, in slices between which requests get their turn.
Spans of any other making, and request spans with events of their own, go through OpenTelemetry's encoder.

Sources: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
and https://protobuf.dev/programming-guides/encoding/: requests written one after the other are one request.
"""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from time import sleep

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan

from chassis.masking import mask_text
from chassis.tracing.attributes import SERVER_ERROR, attributes_of, name_of
from chassis.tracing.request import RequestSpan

SLICE = 32
"""Spans that are written without a rest: 0.15 ms."""

_REST_SECONDS = 0.0005
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
_LONGEST_SHORT = 0x80
_times = struct.Struct("<BQBQ").pack
# Field 16, an empty status in field 15 before it or one with the code 2, which is an error.
_end = struct.Struct("<2sBBI").pack
_end_of_error = struct.Struct("<4sBBI").pack


class Encoder:
    """Writes spans as an ExportTraceServiceRequest. ``readable`` makes an SDK span of a request's."""

    def __init__(self, readable: Callable[[RequestSpan], ReadableSpan]) -> None:
        self._readable = readable
        self._resource: bytes | None = None
        self._scope = b""

    def encode(self, spans: Sequence[ReadableSpan | RequestSpan]) -> bytes:
        """Return the request. For the exporting thread: it sleeps between slices."""
        parts: list[bytes] = []
        waiting = iter(spans)
        while piece := list(islice(waiting, SLICE)):
            if parts:
                # Longer than zero, so that a waiting request really gets the interpreter.
                sleep(_REST_SECONDS)
            parts.append(self._slice(piece))
        return b"".join(parts)

    def _slice(self, spans: Sequence[ReadableSpan | RequestSpan]) -> bytes:
        written: list[bytes] = []
        others: list[ReadableSpan] = []
        for span in spans:
            if not isinstance(span, RequestSpan):
                others.append(span)
            elif _is_plain(span):
                written.append(_field(0x12, _span(span)))
            else:
                others.append(self._readable(span))
        found = b""
        if written:
            resource = self._resource or self._learn(
                next(one for one in spans if isinstance(one, RequestSpan))
            )
            found = _field(0x0A, resource + _field(0x12, self._scope + b"".join(written)))
        if others:
            found += bytes(encode_spans(others).SerializeToString())
        return found

    def _learn(self, span: RequestSpan) -> bytes:
        """Take the resource and the scope, which all spans share, from what OpenTelemetry makes of one."""
        entry = encode_spans([self._readable(span)]).resource_spans[0]
        self._scope = _field(0x0A, entry.scope_spans[0].scope.SerializeToString())
        self._resource = _field(0x0A, entry.resource.SerializeToString())
        return self._resource


class HttpExporter(OTLPSpanExporter):
    """OpenTelemetry's exporter, for bytes."""

    def send(self, body: bytes) -> bool:
        """Send a request; False when the collector did not take it."""
        return bool(self._client.export(body).success)


def _is_plain(span: RequestSpan) -> bool:
    """Tell whether nothing was added to the span that this module does not write."""
    return not (span.events or span.links or span.attributes or span.name or span.status or span.caller_state)


def _span(span: RequestSpan) -> bytes:
    caller = span.caller_id
    remote = _HAS_IS_REMOTE if caller is None else _HAS_IS_REMOTE | _IS_REMOTE
    failed = (span.status_code or 0) >= SERVER_ERROR
    return b"".join(
        (
            b"\x0a\x10",
            bytes.fromhex(span.trace_id),
            b"\x12\x08",
            bytes.fromhex(span.span_id),
            b"" if caller is None else b"\x22\x08" + bytes.fromhex(caller),
            _times(0x39, span.start_time, 0x41, span.end_time or 0),
            _shape(span.method, span.route, span.status_code, span.scheme),
            _text("url.path", mask_text(span.path)),
            b"" if span.client is None else _client(span.client),
            b"" if span.user_agent is None else _agent(span.user_agent),
            _end_of_error(b"\x7a\x02\x18\x02", 0x85, 0x01, remote)
            if failed
            else _end(b"\x7a\x00", 0x85, 0x01, remote),
        )
    )


@lru_cache(maxsize=2048)
def _shape(method: str, route: str | None, status: int | None, scheme: str) -> bytes:
    """Return the name, the kind (a server's) and the attributes of all requests of one shape."""
    attributes = attributes_of(method, route, status, scheme)
    return (
        _field(0x2A, name_of(method, route).encode("utf-8", "replace"))
        + b"\x30\x02"
        + b"".join(
            _number(key, value) if isinstance(value, int) else _text(key, str(value))
            for key, value in attributes.items()
        )
    )


def _text(key: str, value: str) -> bytes:
    return _field(
        0x4A, _field(0x0A, key.encode()) + _field(0x12, _field(0x0A, value.encode("utf-8", "replace")))
    )


# Of a client a service sees many requests.
@lru_cache(maxsize=2048)
def _client(address: str) -> bytes:
    return _text("client.address", mask_text(address))


@lru_cache(maxsize=2048)
def _agent(user_agent: bytes) -> bytes:
    return _text("user_agent.original", mask_text(user_agent.decode("latin-1")))


def _number(key: str, value: int) -> bytes:
    return _field(0x4A, _field(0x0A, key.encode()) + _field(0x12, b"\x18" + _varint(value)))


def _field(tag: int, content: bytes) -> bytes:
    """Return a field whose length goes before it: text, bytes, a message."""
    size = len(content)
    if size < _LONGEST_SHORT:
        return bytes((tag, size)) + content
    return bytes((tag,)) + _varint(size) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= _LONGEST_SHORT:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
