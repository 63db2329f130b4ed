"""Spans on their way to a collector that works, refuses, hangs, or is not there."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from log_capture import capture_logs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags
from pydantic import SecretStr

from chassis.app import create_app
from chassis.service_settings import ServiceSettings
from chassis.testing import connect
from chassis.tracing import Tracing, TracingSettings
from chassis.tracing.current import active_tracers
from chassis.tracing.span_queue import SpanQueue

DEADLINE_SECONDS = 30


@pytest.fixture(autouse=True)
def hermetic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield
    active_tracers.clear()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class App:
    def __init__(self, **settings: object) -> None:
        self.dropped: list[tuple[str, int]] = []
        self.tracing = Tracing(
            TracingSettings(enabled=True, **settings),
            service="orders",
            version="1.2.3",
            environment="staging",
            on_dropped=lambda reason, count: self.dropped.append((reason, count)),
        )

    def request(self, times: int = 1) -> None:
        for _ in range(times):
            span = self.tracing.start_request("GET", "/items/7", [])
            span.end(route="/items/{id}", status=200)
            span.detach()

    def flush(self) -> bool:
        return self.tracing.provider.force_flush(DEADLINE_SECONDS * 1000)

    def lost(self, reason: str) -> int:
        return sum(count for name, count in self.dropped if name == reason)


class Sink:
    """A collector: what it was sent, with the headers of each request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []

    def take(self, path: str, headers: dict[str, str], request: ExportTraceServiceRequest) -> None:
        self.requests.append((path, headers, request))

    @property
    def names(self) -> list[str]:
        return [
            span.name
            for _, _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        return {
            attribute.key: attribute.value.string_value
            for attribute in self.requests[0][2].resource_spans[0].resource.attributes
        }


@pytest.fixture
def http_collector() -> Iterator[tuple[str, Sink]]:
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sink.take(
                self.path,
                {name.lower(): value for name, value in self.headers.items()},
                ExportTraceServiceRequest.FromString(body),
            )
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sink
        server.shutdown()
        thread.join()


@pytest.fixture
def grpc_collector() -> Iterator[tuple[str, Sink]]:
    sink = Sink()

    def export(request, context):
        sink.take("", dict(context.invocation_metadata()), request)
        return ExportTraceServiceResponse()

    servicer = TraceServiceServicer()
    servicer.Export = export
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", sink
    server.stop(None).wait()


@pytest.fixture
def dead_port() -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def hanging_collector() -> Iterator[str]:
    """Accepts connections, never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=16)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("suffix", ["", "/", "/v1/traces"])
async def test_spans_reach_a_collector_over_http(http_collector: tuple[str, Sink], suffix: str) -> None:
    url, sink = http_collector
    app = App(endpoint=url + suffix, headers=SecretStr("X-Token=a%20b"))
    app.request(3)
    await app.tracing.shutdown()
    assert sink.names == ["GET /items/{id}"] * 3
    path, headers, _ = sink.requests[0]
    assert (path, headers["x-token"]) == ("/v1/traces", "a b")
    assert sink.resource["service.name"] == "orders"
    assert sink.resource["deployment.environment.name"] == "staging"
    assert app.dropped == []


async def test_a_service_that_stops_exports_its_last_spans(http_collector: tuple[str, Sink]) -> None:
    url, sink = http_collector
    settings = TracingSettings(enabled=True, endpoint=url, schedule_delay=60_000)
    async with connect(create_app(ServiceSettings(tracing=settings))) as client:
        await client.get("/nowhere")
    assert len(sink.names) == 1


async def test_spans_reach_a_collector_over_grpc(grpc_collector: tuple[str, Sink]) -> None:
    url, sink = grpc_collector
    app = App(protocol="grpc", endpoint=url, headers=SecretStr("X-Token=a%20b"))
    app.request(3)
    await app.tracing.shutdown()
    assert sink.names == ["GET /items/{id}"] * 3
    assert sink.requests[0][1]["x-token"] == "a b"
    assert sink.resource["service.name"] == "orders"
    assert app.dropped == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_an_https_url_means_tls(
    http_collector: tuple[str, Sink], grpc_collector: tuple[str, Sink], protocol: str
) -> None:
    url, sink = grpc_collector if protocol == "grpc" else http_collector
    app = App(protocol=protocol, endpoint=url.replace("http:", "https:"), export_timeout=0.2)
    with capture_logs():
        app.request()
        await app.tracing.shutdown()
    assert sink.requests == []
    assert app.lost("export_failed") == 1


async def test_the_console_prints_a_line_of_json_for_each_span(capsys: pytest.CaptureFixture[str]) -> None:
    app = App(protocol="console")
    app.request(2)
    await app.tracing.shutdown()
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["GET /items/{id}"] * 2


async def test_spans_leave_by_themselves_within_the_delay_and_in_batches(
    http_collector: tuple[str, Sink],
) -> None:
    url, sink = http_collector
    app = App(endpoint=url, schedule_delay=10, batch_size=2)
    app.request(5)
    until(lambda: len(sink.names) == 5)
    sizes = [len(request.resource_spans[0].scope_spans[0].spans) for _, _, request in sink.requests]
    assert max(sizes) <= 2
    await app.tracing.shutdown()


async def test_a_full_batch_leaves_before_the_delay(http_collector: tuple[str, Sink]) -> None:
    url, sink = http_collector
    app = App(endpoint=url, schedule_delay=60_000, batch_size=2)
    app.request(2)
    until(lambda: len(sink.names) == 2)
    await app.tracing.shutdown()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_a_collector_that_is_not_there_costs_spans_and_one_warning(
    dead_port: str, protocol: str
) -> None:
    app = App(protocol=protocol, endpoint=dead_port, export_timeout=0.2, batch_size=1)
    with capture_logs() as logs:
        app.request(3)
        assert app.flush()
        await app.tracing.shutdown()
    assert app.lost("export_failed") == 3
    assert [line["log_level"] for line in logs] == ["warning"]
    assert logs[0]["collector"] == dead_port
    assert logs[0]["reason"]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_a_collector_that_never_answers_is_given_up(hanging_collector: str, protocol: str) -> None:
    app = App(protocol=protocol, endpoint=hanging_collector, export_timeout=0.2)
    with capture_logs():
        app.request(3)
        assert app.flush()
        await app.tracing.shutdown()
    assert app.lost("export_failed") == 3


class Stuck(SpanExporter):
    """An exporter whose export returns only when it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()
        self.closed = False
        self.result = SpanExportResult.SUCCESS
        self.spans = 0

    def export(self, spans):
        self.entered.set()
        assert self.let_go.wait(DEADLINE_SECONDS)
        self.spans += len(spans)
        return self.result

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    exporter = Stuck()
    monkeypatch.setattr("chassis.tracing.pipeline.exporter_factory", lambda _: lambda: exporter)
    yield exporter
    exporter.let_go.set()


async def test_requests_do_not_wait_for_an_export_and_what_finds_no_room_is_counted(stuck: Stuck) -> None:
    app = App(queue_size=10, batch_size=5)
    app.request(5)
    assert stuck.entered.wait(DEADLINE_SECONDS)
    # The exporter stands still until the end of the test: whatever returns here did not wait for it.
    app.request(1000)
    assert app.lost("queue_full") == 990
    stuck.let_go.set()
    assert app.flush()
    assert stuck.spans == 15
    await app.tracing.shutdown()


async def test_shutdown_does_not_wait_longer_than_its_seconds(stuck: Stuck) -> None:
    app = App(batch_size=1, shutdown_timeout=0.05)
    app.request(3)
    assert stuck.entered.wait(DEADLINE_SECONDS)
    stuck.result = SpanExportResult.FAILURE
    await app.tracing.shutdown()
    assert app.lost("shutdown") == 2
    assert stuck.closed
    await app.tracing.shutdown()
    app.request()
    assert app.lost("shutdown") == 3
    stuck.let_go.set()
    until(lambda: app.lost("shutdown") == 4)


async def test_flushing_a_stuck_queue_tells_that_it_was_too_slow(stuck: Stuck) -> None:
    app = App()
    app.request()
    assert app.tracing.provider.force_flush(10) is False
    stuck.let_go.set()
    assert app.flush()
    await app.tracing.shutdown()


class Scripted(SpanExporter):
    """An exporter that does as told, batch by batch."""

    def __init__(self, *results: SpanExportResult | Exception) -> None:
        self.results = list(results)

    def export(self, spans):
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def queue(
    exporter: Callable[[], SpanExporter], clock: Callable[[], float] = time.monotonic, **settings: object
):
    dropped: list[tuple[str, int]] = []
    made = SpanQueue(
        TracingSettings(batch_size=1, **settings),
        exporter=exporter,
        on_dropped=lambda reason, count: dropped.append((reason, count)),
        clock=clock,
    )
    return made, dropped


def sdk_span(sampled: int = 1) -> ReadableSpan:
    return ReadableSpan("x", context=SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(sampled)))


def test_failures_are_told_once_a_minute_and_their_end_once() -> None:
    now = 1000.0
    failure, success = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
    error = RuntimeError("no route to alice@example.com")
    exporter = Scripted(failure, error, failure, failure, success, success)
    made, dropped = queue(lambda: exporter, lambda: now, endpoint="http://user:secret-word@collector:4318")

    def export() -> None:
        made.on_end(sdk_span())
        assert made.force_flush()

    with capture_logs() as logs:
        export()
        export()
        now += 59
        export()
        now += 1
        export()
        export()
        export()
    assert [(line["log_level"], line.get("spans_lost")) for line in logs] == [
        ("warning", 1),
        ("warning", 3),
        ("info", None),
    ]
    assert logs[0]["event"] == "spans cannot be exported, requests are not affected"
    assert "secret-word" not in str(logs)
    assert "alice@example.com" not in str(logs)
    assert dropped == [("export_failed", 1)] * 4
    made.shutdown()


def test_the_reason_is_what_the_exporter_last_complained_of_and_its_own_lines_are_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    caplog.set_level(logging.DEBUG, logger.name)

    class Complaining(SpanExporter):
        def export(self, spans):
            logger.error("refused: %s", "no such tenant")
            logger.debug("closing")
            return SpanExportResult.FAILURE

    made, _ = queue(Complaining)
    with capture_logs() as logs:
        made.on_end(sdk_span())
        assert made.force_flush()
    assert logs[0]["reason"] == "refused: no such tenant"
    assert caplog.records == []
    made.shutdown()
    logger.error("heard again")
    assert len(caplog.records) == 1


def test_an_exporter_that_cannot_be_made_is_tried_again() -> None:
    exporters = iter([None, Scripted(SpanExportResult.SUCCESS)])

    def make() -> SpanExporter:
        exporter = next(exporters)
        if exporter is None:
            raise ValueError("no such certificate")
        return exporter

    made, dropped = queue(make)
    with capture_logs() as logs:
        for _ in range(2):
            made.on_end(sdk_span())
            assert made.force_flush()
    assert dropped == [("export_failed", 1)]
    assert logs[0]["reason"] == "ValueError: no such certificate"
    made.shutdown()


def test_a_span_that_is_not_sampled_is_not_exported() -> None:
    made, dropped = queue(Scripted)
    made.on_end(sdk_span(0))
    assert made.force_flush()
    assert dropped == []
    made.shutdown()


def test_without_anybody_to_tell_spans_are_dropped_silently() -> None:
    made = SpanQueue(TracingSettings(), exporter=Scripted)
    made.shutdown()
    made.on_end(sdk_span())


def test_two_threads_that_bring_the_first_span_start_one_export_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, _ = queue(lambda: Scripted(*[SpanExportResult.SUCCESS] * 2))
    before = {thread for thread in threading.enumerate() if thread.name == "span export"}
    made._starting.acquire()
    threads = [threading.Thread(target=made.on_end, args=(sdk_span(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: len(made._waiting) == 2)
    made._starting.release()
    for thread in threads:
        thread.join()
    assert made.force_flush()
    after = {thread for thread in threading.enumerate() if thread.name == "span export"}
    assert len(after - before) == 1
    made.shutdown()
