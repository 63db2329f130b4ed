"""The text formats, read back by prometheus-client's parsers."""

import math
import re

import pytest
from fastapi import APIRouter
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from chassis.app import create_app
from chassis.metrics import Metrics, MetricsSettings
from chassis.metrics.exposition import OPENMETRICS, TEXT, expose
from chassis.metrics.families import Family, series
from chassis.service_settings import ServiceSettings
from chassis.testing import connect
from chassis.tracing import TracingSettings

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def make() -> Metrics:
    metrics = Metrics(MetricsSettings(), service="orders", version="1.2.3")
    metrics.requests.started()
    metrics.requests.finished("GET", "/items/{id}", 200, 0.02, TRACE_ID)
    metrics.error("cache", "timeout")
    metrics.counter("service_orders_placed_total", "Orders.").inc(exemplar={"trace_id": TRACE_ID})
    metrics.histogram("service_payment_seconds", "Payments.", ["kind"]).labels("card").observe(1.5)
    return metrics


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "application/openmetrics-text;version=0.0.1",
        "Application/OpenMetrics-Text",
        "text/plain;q=0.5, application/openmetrics-text",
        PROMETHEUS_3,
    ],
)
def test_openmetrics_is_told_to_who_prefers_it(accept: str) -> None:
    body, content_type = make().render(accept)
    assert content_type == OPENMETRICS
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "text/html",
        "text/plain",
        "text/plain, application/openmetrics-text;q=0.9",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=nonsense",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;version=9.9",
        "application/openmetrics-text;version=1.x",
    ],
)
def test_text_is_told_to_everybody_else(accept: str | None) -> None:
    assert make().render(accept)[1] == TEXT


@given(st.text())
def test_no_accept_header_breaks_a_scrape(accept: str) -> None:
    assert expose([], accept)[1] in {TEXT, OPENMETRICS}


def test_openmetrics_is_valid_and_a_duration_bucket_remembers_a_trace() -> None:
    families = {family.name: family for family in parse_openmetrics(make().render(OPENMETRICS)[0].decode())}
    assert families["service_requests"].type == "counter"
    assert families["service_build"].type == "info"
    exemplars = {
        sample.labels["le"]: sample.exemplar
        for sample in families["service_request_duration_seconds"].samples
        if sample.exemplar is not None
    }
    assert list(exemplars) == ["0.025"]
    assert exemplars["0.025"].labels == {"trace_id": TRACE_ID}
    assert exemplars["0.025"].value == 0.02
    assert families["service_orders_placed"].samples[0].exemplar.labels == {"trace_id": TRACE_ID}


async def test_a_bucket_of_a_traced_service_remembers_its_latest_sampled_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.tracing.pipeline.exporter_factory", lambda _: InMemorySpanExporter)
    router = APIRouter()
    router.get("/items")(lambda: None)
    settings = ServiceSettings(
        tracing=TracingSettings(enabled=True), metrics=MetricsSettings(buckets=(100.0,))
    )
    async with connect(create_app(settings, routers=[router])) as client:
        for trace_id, flags in (("a" * 32, "01"), (TRACE_ID, "01"), ("b" * 32, "00")):
            traceparent = f"00-{trace_id}-00f067aa0ba902b7-{flags}"
            await client.get("/items", headers={"traceparent": traceparent})
        text = (await client.get("/metrics", headers={"accept": OPENMETRICS})).text
    start = 'service_request_duration_seconds_bucket{le="100.0",method="GET",route="/items"} 3 # '
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    exemplar = rf'{{trace_id="{TRACE_ID}"}} \d+\.\d+(e-\d+)? \d{{10}}\.\d{{3}}'
    assert re.fullmatch(exemplar, line.removeprefix(start))


def test_a_request_without_a_sampled_trace_leaves_no_exemplar() -> None:
    metrics = Metrics(MetricsSettings(), service="orders", version="1")
    metrics.requests.started()
    metrics.requests.finished("GET", "/", 200, 0.02)
    assert b"trace_id" not in metrics.render(OPENMETRICS)[0]


def test_text_is_valid_and_has_no_exemplars() -> None:
    body = make().render()[0].decode()
    families = {family.name: family for family in parse_text(body)}
    assert TRACE_ID not in body
    assert "# EOF" not in body
    assert families["service_requests"].samples[0].name == "service_requests_total"
    assert families["service_build_info"].type == "gauge"


def test_types_that_the_older_format_lacks_are_named_as_it_can() -> None:
    families = [
        Family(name="a", type="unknown", help="", samples={"a": 1}),
        Family(name="b", type="stateset", help="", samples={'b{b="on"}': 1}),
        Family(name="c_bytes", type="gauge", help="", unit="bytes", samples={"c_bytes": 1}),
    ]
    text = expose(families, None)[0].decode()
    assert "# TYPE a untyped\n" in text
    assert "# TYPE b gauge\n" in text
    assert "# UNIT c_bytes bytes\n" in expose(families, OPENMETRICS)[0].decode()


@example("", "", math.nan)
@example("", "", math.inf)
@example("", "", -math.inf)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r")),
    st.text(st.characters(codec="utf-8", exclude_characters="\r")),
    st.floats() | st.integers(-(2**53), 2**53),
)
def test_label_values_help_and_numbers_survive(label: str, documentation: str, number: float) -> None:
    documentation = f"a{documentation}b"  # the parsers strip it
    family = Family(
        name="one", type="gauge", help=documentation, samples={series("one", {"label": label}): number}
    )
    for parse, accept in ((parse_openmetrics, OPENMETRICS), (parse_text, TEXT)):
        found = next(iter(parse(expose([family], accept)[0].decode())))
        assert found.samples[0].labels == {"label": label}
        value = found.samples[0].value
        assert value == number or (math.isnan(value) and math.isnan(number))
        if accept == OPENMETRICS:
            assert found.documentation == documentation
