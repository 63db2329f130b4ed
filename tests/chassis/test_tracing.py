"""The span of a request: what it continues, what it tells, and that nothing happens when tracing is off."""

import json
import logging
import os
import platform
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import BackgroundTasks
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from pydantic import SecretStr, ValidationError

from chassis.app import Service, create_app
from chassis.logging import unconfigure_logging
from chassis.ratelimit import RateLimitSettings
from chassis.service_settings import EnvironmentName, ServiceIdentity, ServiceSettings
from chassis.settings import Settings, load
from chassis.settings.catalog import Catalog
from chassis.testing import CapturedLogs, MetricsReader, capture_logs, connect
from chassis.tracing import Tracing, TracingSettings, current_trace_ids, inject
from chassis.tracing.current import active_tracers, current_tracer

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-01"
NOT_SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"


class Collected(SpanExporter):
    """An exporter that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans):
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


class App:
    """An application that traces into a list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
        self.collected = Collected()
        self.dropped: list[tuple[str, int]] = []
        monkeypatch.setattr("chassis.tracing.pipeline.exporter_factory", lambda _: lambda: self.collected)
        self.tracing = Tracing(
            TracingSettings(enabled=True, **settings),
            service="orders",
            version="1.2.3",
            environment="production",
            on_dropped=lambda reason, count: self.dropped.append((reason, count)),
        )

    def spans(self) -> list[ReadableSpan]:
        assert self.tracing.provider is not None
        assert self.tracing.provider.force_flush()
        return self.collected.spans

    def request(self, *headers: tuple[bytes, bytes], method: str = "GET", **end: object):
        span = self.tracing.start_request(
            method, "/items/7", list(headers), scheme="https", client="192.0.2.1"
        )
        span.end(**{"route": "/items/{id}", "status": 200, **end})
        span.detach()
        return span

    def ended(self, *headers: tuple[bytes, bytes], **end: object) -> ReadableSpan:
        self.request(*headers, **end)
        return self.spans()[-1]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    app = App(monkeypatch)
    yield app
    app.tracing.provider.shutdown()


def traceparent(value: str) -> tuple[bytes, bytes]:
    return (b"traceparent", value.encode())


# Off.


def test_off_it_hands_out_spans_that_do_nothing_and_sees_nothing() -> None:
    tracing = Tracing(TracingSettings(), service="orders", version="1", environment="development")
    tracing.start()
    span = tracing.start_request("GET", "/", [traceparent(SAMPLED)])
    headers: dict[str, str] = {}
    inject(headers)
    assert (tracing.enabled, tracing.provider, span.sampled, headers) == (False, None, False, {})
    assert current_trace_ids() == {}
    assert current_tracer() is None
    assert active_tracers == []
    span.end(route="/", status=200)
    span.detach()


async def test_off_shutdown_does_nothing() -> None:
    await Tracing(TracingSettings(), service="orders", version="1", environment="development").shutdown()


def test_off_the_sdk_and_the_exporters_are_not_imported() -> None:
    program = """
        import sys
        from chassis.tracing import Tracing, TracingSettings, traced

        @traced
        def f(): return 1

        tracing = Tracing(TracingSettings(), service="orders", version="1", environment="development")
        tracing.start()
        tracing.start_request("GET", "/", []).end()
        assert f() == 1
        heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "grpc")
        print([name for name in sys.modules if name.startswith(heavy)])
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout.strip() == "[]"


def test_without_the_packages_the_error_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chassis.tracing.pipeline", None)
    with pytest.raises(ImportError, match=r"vendored-chassis\[tracing\]"):
        Tracing(TracingSettings(enabled=True), service="orders", version="1", environment="development")


@pytest.mark.parametrize(("protocol", "package"), [("grpc", "grpc"), ("http/protobuf", "http")])
def test_without_an_exporter_the_error_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch, protocol: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.{package}", None)
    monkeypatch.delitem(
        sys.modules, f"opentelemetry.exporter.otlp.proto.{package}.trace_exporter", raising=False
    )
    monkeypatch.delitem(sys.modules, "chassis.tracing.otlp", raising=False)  # it imports one of them
    with pytest.raises(ImportError, match=r"vendored-chassis\[tracing\]"):
        Tracing(
            TracingSettings(enabled=True, protocol=protocol), service="o", version="1", environment="test"
        )


# What a request's span tells.


def test_a_span_carries_the_semantic_conventions(app: App) -> None:
    span = app.ended((b"user-agent", b"curl/8"), (b"authorization", b"Bearer abc"), (b"cookie", b"session=1"))
    assert span.name == "GET /items/{id}"
    assert span.kind is SpanKind.SERVER
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/items/{id}",
        "http.response.status_code": 200,
        "url.path": "/items/7",
        "url.scheme": "https",
        "client.address": "192.0.2.1",
        "user_agent.original": "curl/8",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time


def test_the_resource_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(monkeypatch, resource_attributes="team=a%20b, service.name=other")
    assert app.tracing.provider is not None
    facts = app.tracing.provider.resource.attributes
    assert facts["service.name"] == "orders"
    assert facts["service.version"] == "1.2.3"
    assert facts["deployment.environment.name"] == "production"
    assert facts["service.instance.id"]
    assert (facts["host.name"], facts["process.pid"]) == (platform.node(), os.getpid())
    assert facts["team"] == "a b"


def test_a_route_that_matched_nothing_and_a_method_that_a_stranger_invented_are_no_part_of_the_name(
    app: App,
) -> None:
    assert app.ended(route=None, status=404).name == "GET"
    without_client = app.tracing.start_request("GET", "/", [])
    without_client.end()
    without_client.detach()
    assert "client.address" not in (app.spans()[-1].attributes or {})
    span = app.ended(method="BREW-7")
    assert span.name == "HTTP /items/{id}"
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW-7"


def test_secrets_in_a_path_are_masked(app: App) -> None:
    span = app.tracing.start_request("GET", "/reset/alice@example.com", [])
    span.end(route="/reset/{address}", status=200)
    span.detach()
    assert "alice@example.com" not in str(app.spans()[-1].attributes)


@pytest.mark.parametrize(
    ("status", "expected"), [(200, StatusCode.UNSET), (404, StatusCode.UNSET), (503, StatusCode.ERROR)]
)
def test_only_a_servers_error_is_an_error(app: App, status: int, expected: StatusCode) -> None:
    span = app.ended(status=status)
    assert span.status.status_code is expected
    assert (span.attributes or {}).get("error.type") == ("503" if expected is StatusCode.ERROR else None)


def test_a_crash_is_recorded_with_its_traceback_masked(app: App) -> None:
    try:
        {}["no customer alice@example.com"]
    except LookupError as crash:
        span = app.ended(status=500, error=crash)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "KeyError"
    event = span.events[0]
    assert event.name == "exception"
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "KeyError"
    assert "Traceback" in str(event.attributes["exception.stacktrace"])
    assert "alice@example.com" not in str(dict(event.attributes))


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def test_a_crash_that_cannot_say_what_it_is_is_recorded_all_the_same(app: App) -> None:
    attributes = app.ended(status=500, error=UnspeakableError()).events[0].attributes
    assert attributes is not None
    name = f"{__name__}.UnspeakableError"
    assert attributes["exception.type"] == name
    assert attributes["exception.message"] == f"{name} whose text raised ZeroDivisionError"
    assert name in str(attributes["exception.stacktrace"])


def test_what_the_application_adds_to_the_current_span_is_told(app: App) -> None:
    span = app.tracing.start_request("GET", "/", [])
    current = trace.get_current_span()
    assert current is span
    current.set_attribute("order.id", 7)
    current.set_attributes({"order.kind": "web"})
    current.update_name("place order")
    current.set_status(StatusCode.OK)
    current.set_status(Status(StatusCode.ERROR, "sold out"))
    current.add_event("checked", {"n": 1})
    current.record_exception(ValueError("no"), {"retry": True})
    other = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    current.add_link(other, {"why": "batch"})
    span.end(route="/", status=200)
    span.detach()
    told = app.spans()[-1]
    assert told.name == "place order"
    assert (told.status.status_code, told.status.description) == (StatusCode.ERROR, "sold out")
    assert told.attributes is not None
    assert (told.attributes["order.id"], told.attributes["order.kind"]) == (7, "web")
    assert [event.name for event in told.events] == ["checked", "exception"]
    assert [(link.context, dict(link.attributes or {})) for link in told.links] == [(other, {"why": "batch"})]


def test_after_its_end_a_span_changes_no_more_and_is_told_once(app: App) -> None:
    span = app.request()
    span.set_attribute("late", 1)
    span.set_attributes({"late": 1})
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.add_event("late")
    span.add_link(SpanContext(1, 2, is_remote=True))
    span.end(route="/late", status=500)
    span.end(12)
    span.detach()
    spans = app.spans()
    assert len(spans) == 1
    assert spans[0].name == "GET /items/{id}"
    assert "late" not in str(dict(spans[0].attributes or {}))
    assert not spans[0].events
    assert not spans[0].links


def test_events_and_links_of_one_span_are_bounded(app: App) -> None:
    span = app.tracing.start_request("GET", "/", [])
    for _ in range(500):
        span.add_event("again")
        span.add_link(SpanContext(1, 2, is_remote=True))
    span.set_attributes({f"a{number}": number for number in range(500)})
    span.end(route="/", status=200)
    span.detach()
    told = app.spans()[-1]
    assert (len(told.events), len(told.links), len(told.attributes or {})) == (128, 128, 128)


# Context in and out.


def test_a_valid_parent_is_continued_with_its_state(app: App) -> None:
    span = app.tracing.start_request(
        "GET",
        "/",
        [traceparent(SAMPLED), (b"tracestate", b"a=1"), (b"tracestate", b"b=2"), (b"baggage", b"user=7")],
    )
    headers: dict[str, str] = {}
    token = attach(baggage.set_baggage("customer", "7"))
    inject(headers)
    detach(token)
    assert headers == {"traceparent": f"00-{TRACE_ID}-{span.span_id}-01", "tracestate": "a=1,b=2"}
    assert baggage.get_all() == {}
    assert current_trace_ids() == {"trace_id": TRACE_ID, "span_id": span.span_id}
    span.end(route="/", status=200)
    span.detach()
    parent = app.spans()[-1].parent
    assert parent is not None
    assert (f"{parent.span_id:016x}", parent.is_remote) == (PARENT_ID, True)
    assert current_trace_ids() == {}


@pytest.mark.parametrize(
    "headers",
    [
        [traceparent("")],
        [traceparent("nonsense")],
        [traceparent(SAMPLED.upper())],
        [traceparent(f"ff-{TRACE_ID}-{PARENT_ID}-01")],
        [traceparent(f"00-{'0' * 32}-{PARENT_ID}-01")],
        [traceparent(f"00-{TRACE_ID}-{'0' * 16}-01")],
        [traceparent(f"{SAMPLED}-extra")],
        [traceparent(SAMPLED + "x" * 10_000)],
        [(b"traceparent", b"\xff\xfe")],
        [traceparent(SAMPLED), traceparent(SAMPLED)],
    ],
)
def test_a_parent_that_is_not_valid_is_ignored(app: App, headers: list[tuple[bytes, bytes]]) -> None:
    span = app.request(*headers)
    assert span.trace_id != TRACE_ID
    assert span.parent is None
    assert span.sampled


def test_headers_may_come_as_a_dict_in_which_lines_of_one_name_are_joined(app: App) -> None:
    headers = {b"traceparent": SAMPLED.encode(), b"tracestate": b"a=1,b=2", b"user-agent": b"curl/8"}
    span = app.tracing.start_request("GET", "/", headers)
    twice = app.tracing.start_request("GET", "/", {b"traceparent": f"{SAMPLED},{SAMPLED}".encode()})
    twice.detach()
    span.detach()
    assert (span.trace_id, span.user_agent) == (TRACE_ID, b"curl/8")
    assert span.get_span_context().trace_state.to_header() == "a=1,b=2"
    assert twice.parent is None


def test_two_spans_of_one_callers_trace_have_ids_of_their_own(app: App) -> None:
    first, second = app.request(traceparent(SAMPLED)), app.request(traceparent(SAMPLED))
    assert first.trace_id == second.trace_id
    assert len({PARENT_ID, first.span_id, second.span_id}) == 3


def test_the_next_version_of_the_header_is_read_as_far_as_it_is_known(app: App) -> None:
    span = app.request(traceparent(f"01-{TRACE_ID}-{PARENT_ID}-01-more"))
    assert (span.trace_id, span.sampled) == (TRACE_ID, True)


def test_a_state_that_is_not_valid_is_ignored_and_the_parent_kept(app: App) -> None:
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    span = app.request(traceparent(SAMPLED), (b"tracestate", b"=;\xff" * 1000))
    assert span.trace_id == TRACE_ID
    assert not span.get_span_context().trace_state


@given(
    st.lists(
        st.tuples(st.sampled_from([b"traceparent", b"tracestate", b"user-agent"]), st.binary()), max_size=4
    )
)
def test_no_header_breaks_a_request(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        app = App(monkeypatch, ratio=0)
        span = app.request(*headers)
        assert len(span.trace_id) == 32
        app.tracing.provider.shutdown()
        active_tracers.clear()


def test_outside_a_request_nothing_is_injected(app: App) -> None:
    app.tracing.start()
    headers: dict[str, str] = {}
    inject(headers)
    assert headers == {}


# Sampling.


def test_a_request_that_is_not_sampled_has_ids_and_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(monkeypatch, ratio=0)
    span = app.tracing.start_request("GET", "/", [])
    span.set_attribute("a", 1)
    headers: dict[str, str] = {}
    inject(headers)
    assert headers["traceparent"].endswith("-02")
    assert current_trace_ids() == {"trace_id": span.trace_id, "span_id": span.span_id}
    with app.tracing.provider.get_tracer("x").start_as_current_span("child") as child:
        assert child.get_span_context().trace_id == span.get_span_context().trace_id
        assert not child.is_recording()
    span.end(route="/", status=500, error=ValueError())
    span.detach()
    assert app.spans() == []
    active_tracers.clear()


@pytest.mark.parametrize(
    ("sampler", "ratio", "parent", "sampled"),
    [
        ("parentbased_traceidratio", 0, SAMPLED, True),
        ("parentbased_traceidratio", 1, NOT_SAMPLED, False),
        ("traceidratio", 0, SAMPLED, False),
        ("traceidratio", 1, NOT_SAMPLED, True),
    ],
)
def test_the_callers_decision_counts_unless_the_sampler_decides_alone(
    monkeypatch: pytest.MonkeyPatch, sampler: str, ratio: float, parent: str, sampled: bool
) -> None:
    app = App(monkeypatch, sampler=sampler, ratio=ratio)
    span = app.tracing.start_request("GET", "/", [traceparent(parent)])
    assert span.sampled is sampled
    with app.tracing.provider.get_tracer("x").start_as_current_span("child") as child:
        assert child.is_recording() is sampled
    span.detach()
    app.tracing.provider.shutdown()
    active_tracers.clear()


@given(st.floats(0, 1), st.integers(1, 2**128 - 1))
def test_the_ratio_decides_as_the_sdk_does(ratio: float, trace_id: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        app = App(monkeypatch, ratio=ratio, sampler="traceidratio")
        span = app.request(traceparent(f"00-{trace_id:032x}-{PARENT_ID}-00"))
        decision = TraceIdRatioBased(ratio).should_sample(None, trace_id, "x").decision
        assert span.sampled is decision.is_sampled()
        app.tracing.provider.shutdown()
        active_tracers.clear()


# The provider.


def test_a_child_of_the_sdk_belongs_to_the_request(app: App) -> None:
    span = app.tracing.start_request("GET", "/", [])
    with app.tracing.provider.get_tracer("library").start_as_current_span("query"):
        pass
    span.end(route="/", status=200)
    span.detach()
    child, request = app.spans()
    assert child.parent is not None
    assert child.parent.span_id == request.context.span_id
    assert child.resource is request.resource


def test_no_provider_is_made_global(app: App) -> None:
    app.request()
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_a_processor_that_a_team_adds_sees_requests_too(app: App) -> None:
    seen: list[str] = []

    class Processor(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            seen.append(span.name)

    app.tracing.provider.add_span_processor(Processor())
    app.request()
    assert seen == ["GET /items/{id}"]
    assert [span.name for span in app.spans()] == ["GET /items/{id}"]


async def test_two_applications_in_one_process_trace_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = App(monkeypatch), App(monkeypatch)
    one.tracing.start()
    other.tracing.start()
    assert current_tracer() is one.tracing._tracer
    span = other.tracing.start_request("GET", "/", [])
    assert current_tracer() is other.tracing._tracer
    span.end(route="/", status=200)
    span.detach()
    assert (len(one.spans()), len(other.spans())) == (0, 1)
    await one.tracing.shutdown()
    assert current_tracer() is other.tracing._tracer
    await other.tracing.shutdown()
    assert active_tracers == []


# A whole service.


class Shop:
    """A service that traces into a list, with what it logs."""

    def __init__(self, app: Service, collected: Collected, logs: CapturedLogs) -> None:
        self.app = app
        self.provider = app.environment.tracing.provider
        self.logs = logs
        self._collected = collected

    def spans(self) -> list[ReadableSpan]:
        assert self.provider is not None
        assert self.provider.force_flush()
        return self._collected.spans

    async def ask(self, method: str, url: str, **options: Any) -> httpx2.Response:
        async with connect(self.app, lifespan=False) as client:
            return await client.request(method, url, **options)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Shop]:
    collected = Collected()
    monkeypatch.setattr("chassis.tracing.pipeline.exporter_factory", lambda _: lambda: collected)
    settings = ServiceSettings(
        environment=EnvironmentName.STAGING,
        service=ServiceIdentity(name="shop", version="2.5.0"),
        rate_limiting=RateLimitSettings(enabled=False),
        tracing=TracingSettings(enabled=True, ratio=getattr(request, "param", 1)),
    )
    with capture_logs(settings.logging) as logs:
        app = create_app(settings)

        @app.post("/items/{item_id}")
        async def change(item_id: int) -> int:
            structlog.get_logger("shop").info("changed")
            return item_id

        @app.get("/crash")
        async def crash() -> None:
            raise RuntimeError("no such item")

        @app.get("/unspeakable")
        async def unspeakable() -> None:
            raise UnspeakableError

        yield Shop(app, collected, logs)
    assert app.environment.tracing.provider is not None
    app.environment.tracing.provider.shutdown()


async def test_a_request_is_one_span_without_its_query_headers_and_body(shop: Shop) -> None:
    answer = await shop.ask(
        "POST", "/items/7?page=second-one", headers={"x-kind": "third-one"}, json={"name": "fourth-one"}
    )
    assert answer.status_code == 200
    (span,) = shop.spans()
    assert (span.name, span.kind) == ("POST /items/{item_id}", SpanKind.SERVER)
    told = json.loads(span.to_json())
    assert told["attributes"]["url.path"] == "/items/7"
    assert told["attributes"]["http.response.status_code"] == 200
    assert not any(word in str(told) for word in ("second-one", "third-one", "fourth-one"))


async def test_a_crash_of_a_service_is_told_with_its_traceback(shop: Shop) -> None:
    await shop.ask("GET", "/crash")
    (span,) = shop.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "no such item" in str(dict(span.events[0].attributes or {})["exception.stacktrace"])


async def test_a_crash_that_cannot_say_what_it_is_is_answered_and_counted_all_the_same(shop: Shop) -> None:
    answer = await shop.ask("GET", "/unspeakable")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    metrics = MetricsReader(shop.app.environment.metrics)
    assert metrics.value("service_requests_in_progress") == 0
    assert metrics.value("service_requests_total", method="GET", route="/unspeakable", status="500") == 1
    assert len(shop.spans()) == 1


@pytest.mark.parametrize("shop", [0, 1], indirect=True, ids=["not sampled", "sampled"])
async def test_every_line_of_a_request_has_the_ids_of_its_trace(shop: Shop) -> None:
    await shop.ask("POST", "/items/7", headers={"traceparent": NOT_SAMPLED})
    await shop.ask("POST", "/items/7")
    lines = [event for event in shop.logs.events if event["event"] in {"changed", "request"}]
    assert len(lines) == 4
    assert all(len(str(line["trace_id"])) == 32 and len(str(line["span_id"])) == 16 for line in lines)
    assert len({(line["trace_id"], line["span_id"]) for line in lines}) == 2


async def test_an_access_line_that_waits_in_the_buffer_has_the_ids_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unconfigure_logging()
    app = create_app(
        ServiceSettings(
            environment=EnvironmentName.STAGING,
            rate_limiting=RateLimitSettings(enabled=False),
            tracing=TracingSettings(enabled=True, ratio=0),
        )
    )
    async with connect(app, lifespan=False) as client:
        await client.get("/items/7", headers={"traceparent": NOT_SAMPLED})
    unconfigure_logging()
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["event"], line["trace_id"], len(line["span_id"])) == ("request", TRACE_ID, 16)
    assert app.environment.tracing.provider is not None
    app.environment.tracing.provider.shutdown()


async def test_a_request_is_reported_before_its_background_work(shop: Shop) -> None:
    seen: list[tuple[list[str], list[str], float]] = []

    def look() -> None:
        lines = [event["route"] for event in shop.logs.find("request")]
        timed = MetricsReader(shop.app.environment.metrics).value(
            "service_request_duration_seconds_count", route="/later"
        )
        seen.append((lines, [span.name for span in shop.spans()], timed))

    @shop.app.get("/later")
    async def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(look)

    await shop.ask("GET", "/later")
    assert seen == [(["/later"], ["GET /later"], 1)]


def test_the_identity_of_the_service_is_that_of_its_settings(shop: Shop) -> None:
    assert shop.provider is not None
    facts = shop.provider.resource.attributes
    names = ("service.name", "service.version", "deployment.environment.name")
    assert [facts[name] for name in names] == ["shop", "2.5.0", "staging"]


async def test_dropped_spans_are_counted_in_the_metrics_of_the_service(shop: Shop) -> None:
    counted = MetricsReader(shop.app.environment.metrics).delta(
        "service_spans_dropped_total", reason="shutdown"
    )
    await shop.app.environment.tracing.shutdown()
    await shop.ask("POST", "/items/7")
    assert counted() == 1


# Settings.


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "collector:4318"},
        {"endpoint": "ftp://collector"},
        {"endpoint": "http://"},
        {"endpoint": "http://collector:port"},
        {"endpoint": "http://[::1"},
        {"ratio": 1.1},
        {"ratio": -0.1},
        {"protocol": "zipkin"},
        {"export_timeout": 10_000},
        {"headers": SecretStr("no separator")},
        {"resource_attributes": "=x"},
        {"queue_size": 10, "batch_size": 11},
    ],
)
def test_wrong_settings_are_refused_without_repeating_a_secret(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refusal:
        TracingSettings(**wrong)
    assert "no separator" not in json.dumps([error["msg"] for error in refusal.value.errors()])


def test_the_variables_are_those_of_opentelemetry(tmp_path: Path) -> None:
    class Composed(Settings):
        tracing: TracingSettings = TracingSettings()

    environ = {
        "OTEL_ENABLED": "true",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=b",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_SHUTDOWN_TIMEOUT": "1.5",
    }
    assert load(Composed, environ=environ, directory=tmp_path).tracing == TracingSettings(
        enabled=True,
        protocol="grpc",
        endpoint="https://collector:4317",
        headers=SecretStr("a=b"),
        export_timeout=2,
        sampler="traceidratio",
        ratio=0.25,
        resource_attributes="team=a",
        queue_size=100,
        batch_size=50,
        schedule_delay=200,
        shutdown_timeout=1.5,
    )


def test_every_variable_is_opentelemetrys_but_for_those_that_it_does_not_have() -> None:
    class Composed(Settings):
        tracing: TracingSettings = TracingSettings()

    known = {value for value in vars(environment_variables).values() if isinstance(value, str)}
    assert {leaf.variable for leaf in Catalog(Composed).by_path.values()} - known == {
        "OTEL_ENABLED",
        "OTEL_SHUTDOWN_TIMEOUT",
    }


def test_every_variable_is_on_the_page_of_settings() -> None:
    class Composed(Settings):
        tracing: TracingSettings = TracingSettings()

    page = Path(__file__).parents[2].joinpath("docs/reference/settings.md").read_text(encoding="utf-8")
    missing = [
        leaf.variable for leaf in Catalog(Composed).by_path.values() if f"| `{leaf.variable}` |" not in page
    ]
    assert missing == []


def test_the_defaults() -> None:
    default = TracingSettings()
    assert not default.enabled
    assert (default.protocol, default.collector) == ("http/protobuf", "http://localhost:4318")
    assert (default.headers, default.export_timeout) == (None, 5)
    assert (default.sampler, default.ratio) == ("parentbased_traceidratio", 1)
    assert (default.queue_size, default.shutdown_timeout) == (2048, 3)


def test_an_empty_endpoint_is_the_default_of_the_protocol() -> None:
    assert TracingSettings(endpoint="").collector == "http://localhost:4318"
    assert TracingSettings(protocol="grpc").collector == "http://localhost:4317"
    assert TracingSettings(headers=SecretStr("a=b")).headers == SecretStr("a=b")


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    active_tracers.clear()
    yield
    active_tracers.clear()
