"""The collector's configuration holds together, and reads the lines that the logging module writes."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.logging import LoggingSettings, StreamSink, configure_logging, get_logger, unconfigure_logging
from chassis.logging.pipeline import FIXED

pytestmark = pytest.mark.ops

OTEL_SEVERITIES = {"trace", "debug", "info", "warn", "error", "fatal"}
OPERATORS = {
    "add",
    "filter",
    "json_parser",
    "move",
    "recombine",
    "remove",
    "time_parser",
    "trace_parser",
}


@pytest.fixture(scope="module")
def collector(service: Path) -> dict[str, Any]:
    folder = service / "deploy/otel"
    whole: dict[str, Any] = {}
    for name in ("collector.yaml", "service.yaml"):
        merge(whole, yaml.safe_load((folder / name).read_text(encoding="utf-8")))
    return whole


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """As the collector merges its files: maps by key, anything else replaces."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


@pytest.fixture(scope="module")
def operators(collector: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = collector["receivers"]["file_log"]["operators"]
    return listed


def test_every_component_is_defined_and_used(collector: dict[str, Any]) -> None:
    pipelines = collector["service"]["pipelines"]
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in pipelines.values() for name in pipeline[kind]}
        assert used == set(collector[kind])
    assert set(collector["service"]["extensions"]) == set(collector["extensions"])
    assert collector["receivers"]["file_log"]["storage"] in collector["extensions"]


def test_traces_and_logs_go_to_their_stores(collector: dict[str, Any]) -> None:
    exporters = {name: pipeline["exporters"] for name, pipeline in collector["service"]["pipelines"].items()}
    assert exporters == {"traces": ["otlp_grpc/jaeger"], "logs": ["otlp_http/loki"]}
    for pipeline in collector["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"
        assert pipeline["processors"][-1] == "batch"


def test_the_service_finds_the_receivers_by_their_default_ports(collector: dict[str, Any]) -> None:
    protocols = collector["receivers"]["otlp"]["protocols"]
    assert protocols["grpc"]["endpoint"].endswith(":4317")
    assert protocols["http"]["endpoint"].endswith(":4318")


def test_only_known_operators_are_used(operators: list[dict[str, Any]]) -> None:
    assert {operator["type"] for operator in operators} <= OPERATORS


def lines_of_the_logging_module() -> list[dict[str, Any]]:
    """What is really written: one line with every fixed field that a request can have, one of each level."""
    written: list[bytes] = []

    class Sink(StreamSink):
        def write(self, line: bytes) -> None:
            written.append(line)

        def flush(self) -> None: ...

    def ids() -> Mapping[str, object]:
        return {"request_id": "r" * 32, "trace_id": "a" * 32, "span_id": "b" * 16}

    settings = LoggingSettings(format="json", level="DEBUG", caller=True)
    unconfigure_logging()
    configure_logging(settings, service="orders", environment="production", enrich=ids, sink=Sink())
    try:
        log = get_logger("orders.items")
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)("item placed", item=1)
    finally:
        unconfigure_logging()
    return [json.loads(line) for line in written]


def test_every_field_that_is_read_is_one_that_is_written(operators: list[dict[str, Any]]) -> None:
    line = lines_of_the_logging_module()[0]
    read = set(re.findall(r"attributes\.line\??\.(\w+)", json.dumps(operators)))
    assert read <= set(line)
    assert read <= set(FIXED)
    assert {"timestamp", "level", "event", "service", "environment", "logger"} <= read
    assert {"request_id", "trace_id", "span_id"} <= read


BECOMES = {
    "timestamp": "timestamp",
    "level": "severity",
    "trace_id": "trace",
    "span_id": "span",
    "service": 'resource["service.name"]',
    "environment": 'resource["deployment.environment.name"]',
    "event": "attributes.event",
    "logger": "attributes.logger",
    "request_id": "attributes.request_id",
}


def test_each_field_becomes_what_the_documentation_says(operators: list[dict[str, Any]]) -> None:
    found = {}
    for operator in operators:
        if operator["type"] == "move" and operator["from"].startswith("attributes.line."):
            found[operator["from"]] = operator["to"]
        for name in ("timestamp", "severity"):
            if name in operator:
                found[operator[name]["parse_from"]] = name
        if operator["type"] == "trace_parser":
            found |= {operator[f"{name}_id"]["parse_from"]: name for name in ("trace", "span")}
    assert found == {f"attributes.line.{field}": target for field, target in BECOMES.items()}


def test_the_line_stays_as_it_was_written(operators: list[dict[str, Any]]) -> None:
    (add,) = [operator for operator in operators if operator["type"] == "add"]
    assert add == {"type": "add", "field": "body", "value": r'EXPR(trimSuffix(attributes.docker.log, "\n"))'}
    later = operators[operators.index(add) + 1 :]
    written = [operator.get("to") or operator.get("parse_to") or operator.get("field") for operator in later]
    assert "body" not in written
    assert [operator["parse_from"] for operator in later if operator["type"] == "json_parser"] == ["body"]


def test_every_level_is_a_severity(operators: list[dict[str, Any]]) -> None:
    [parser] = [operator for operator in operators if "severity" in operator]
    mapped = {text: severity for severity, text in parser["severity"]["mapping"].items()}
    for line in lines_of_the_logging_module():
        assert mapped.get(line["level"], line["level"]) in OTEL_SEVERITIES


def test_the_time_of_a_line_has_the_layout_that_is_parsed(operators: list[dict[str, Any]]) -> None:
    [parser] = [operator for operator in operators if "timestamp" in operator]
    assert parser["timestamp"] == {
        "parse_from": "attributes.line.timestamp",
        "layout_type": "gotime",
        "layout": "2006-01-02T15:04:05.999999Z07:00",
    }
    stamp = lines_of_the_logging_module()[0]["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
    assert datetime.fromisoformat(stamp).utcoffset() is not None


def test_a_line_that_the_engine_cut_is_put_together_before_it_is_read(
    operators: list[dict[str, Any]],
) -> None:
    kinds = [operator["type"] for operator in operators]
    [recombine] = [operator for operator in operators if operator["type"] == "recombine"]
    assert kinds.index("recombine") < kinds.index("json_parser", 1)
    assert recombine["combine_with"] == ""
    assert recombine["is_last_entry"].endswith(r'endsWith "\n"')


def test_only_lines_of_this_service_are_shipped(operators: list[dict[str, Any]]) -> None:
    [chosen] = [operator for operator in operators if operator["type"] == "filter"]
    assert chosen["expr"] == 'attributes.docker?.attrs?.tag != "orders"'
