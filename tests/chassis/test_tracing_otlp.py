"""Spans written as bytes: the same message that OpenTelemetry's encoder makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from chassis.masking import Masker, use_rules
from chassis.tracing import RequestSpan, Tracing, TracingSettings
from chassis.tracing.current import active_tracers
from chassis.tracing.otlp import SLICE, Encoder

PARENT = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
TEXT = st.text(st.characters(codec="utf-8"), max_size=300)


@pytest.fixture(scope="module")
def tracing() -> Tracing:
    made = Tracing(TracingSettings(enabled=True), service="orders", version="1", environment="production")
    # Nothing is to be sent, neither what ends here nor what OpenTelemetry's own tracer ends.
    made.provider.queue.put = made._finish = lambda _: None
    return made


def a_span(
    tracing: Tracing,
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    path: str = "/items/7",
    client: str | None = "192.0.2.1",
    **end: object,
) -> RequestSpan:
    span = tracing.start_request(method, path, headers, scheme="https", client=client)
    span.end(**{"route": "/items/{id}", "status": 200, **end})
    span.detach()
    active_tracers.clear()
    return span


def written(tracing: Tracing, *spans: RequestSpan) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(Encoder(tracing.provider.readable).encode(spans))


def spans_of(request: ExportTraceServiceRequest) -> list[Span]:
    """Return the spans with their attributes in one order: it has no meaning."""
    found = [span for entry in request.resource_spans for scope in entry.scope_spans for span in scope.spans]
    for span in found:
        span.attributes.sort(key=lambda attribute: attribute.key)
    return found


def assert_equal(tracing: Tracing, *spans: RequestSpan) -> None:
    expected = encode_spans([tracing.provider.readable(span) for span in spans])
    found = written(tracing, *spans)
    assert found.resource_spans[0].resource == expected.resource_spans[0].resource
    assert found.resource_spans[0].scope_spans[0].scope == expected.resource_spans[0].scope_spans[0].scope
    assert spans_of(found) == spans_of(expected)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"method": "BREW"},
        {"client": None},
        {"route": None, "status": 404},
        {"status": 503},
        {"status": None},
        {"path": "/reset/alice@example.com"},
        {"error": ValueError("no")},
    ],
)
def test_a_span_is_what_opentelemetry_makes_of_it(tracing: Tracing, request_: dict[str, object]) -> None:
    assert_equal(tracing, a_span(tracing, **request_))


@pytest.mark.parametrize(
    "headers", [[PARENT], [PARENT, (b"tracestate", b"a=1")], [(b"user-agent", b"\xff/1")]]
)
def test_what_the_caller_sent_is_told_too(tracing: Tracing, headers: list[tuple[bytes, bytes]]) -> None:
    assert_equal(tracing, a_span(tracing, *headers))


@given(path=TEXT, route=TEXT, agent=st.binary(max_size=300), status=st.integers(100, 599))
def test_any_text_is_written(tracing: Tracing, path: str, route: str, agent: bytes, status: int) -> None:
    assert_equal(
        tracing, a_span(tracing, (b"user-agent", agent), path=path, route=route or None, status=status)
    )


def test_text_that_is_no_unicode_is_replaced(tracing: Tracing) -> None:
    (span,) = spans_of(written(tracing, a_span(tracing, path="/\ud800")))
    assert {a.key: a.value.string_value for a in span.attributes}["url.path"] == "/?"


def test_what_a_client_chose_is_masked_and_has_a_bound(tracing: Tracing) -> None:
    def told(agent: bytes, path: str) -> tuple[str, str]:
        span = a_span(tracing, (b"user-agent", agent), path=path)
        assert_equal(tracing, span)
        (sent,) = spans_of(written(tracing, span))
        attributes = {a.key: a.value.string_value for a in sent.attributes}
        return attributes["user_agent.original"], attributes["url.path"]

    assert told(b"curl token=hunter2hunter2", "/") == ("curl token=hu***r2", "/")
    assert told(b"curl " + b"a" * 600, f"/{'b' * 2000}/{'c' * 60_000}") == ("curl", f"/{'b' * 2000}/...")
    assert told(b"a" * 60_000, "/") == ("a" * 512, "/")


def test_a_client_is_masked_where_log_lines_mask_it(tracing: Tracing) -> None:
    use_rules(Masker(mask_ips=True, sensitive_keys=["badge"]))
    try:
        span = a_span(tracing, path="/badge=A-1234567", client="203.0.113.77")
        assert_equal(tracing, span)
        (sent,) = spans_of(written(tracing, span))
    finally:
        use_rules(None)
    attributes = {a.key: a.value.string_value for a in sent.attributes}
    assert attributes["client.address"] == "20***77"
    assert attributes["url.path"] == "/badge=A-***67"


def test_slices_of_one_batch_are_one_request(tracing: Tracing) -> None:
    spans = [a_span(tracing) for _ in range(2 * SLICE + 1)]
    found = [span.span_id.hex() for span in spans_of(written(tracing, *spans))]
    assert found == [span.span_id for span in spans]


def test_spans_of_other_making_are_sent_as_well(tracing: Tracing) -> None:
    other = tracing.provider.get_tracer("x").start_span("child")
    other.end()
    names = [span.name for span in spans_of(written(tracing, a_span(tracing), other))]
    assert names == ["GET /items/{id}", "child"]
