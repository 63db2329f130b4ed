"""The table of docs/reference/metrics.md is what every service exports."""

import re
from typing import NamedTuple

import pytest
from ledger import ROOT
from prometheus_client import Counter, Gauge, Histogram, Info

from chassis.metrics import Metrics, MetricsSettings
from chassis.metrics.families import Family

ROW = re.compile(r"^\| (`\w.*?) \| (.*?) ?\| (\w+) \| (sum|min|max) \| .* \|$", re.MULTILINE)
MADE_BY = {"counter": Counter, "gauge": Gauge, "histogram": Histogram, "info": Info}


class Told(NamedTuple):
    name: str
    labels: set[str]
    kind: str
    workers: str


def rows() -> list[Told]:
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    return [
        Told(name, set(re.findall(r"`(\w+)`", labels)), kind, workers)
        for names, labels, kind, workers in ROW.findall(page)
        for name in re.findall(r"`(\w+)`", names)
    ]


def sample_name(family: Family) -> str:
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


@pytest.fixture
def metrics() -> Metrics:
    """Metrics in which everything was seen once."""
    metrics = Metrics(MetricsSettings(), service="orders", version="1.2.3")
    metrics.requests.started()
    metrics.requests.finished("GET", "/items", 200, 0.02)
    metrics.error("cache", "timeout")
    metrics.rate_limited("/items")
    metrics.task_failed("sync")
    metrics.spans_dropped("queue_full", 1)
    metrics.health_status("database", 1)
    metrics.circuit_state("billing", 0)
    return metrics


def test_nothing_is_exported_that_the_table_lacks(metrics: Metrics) -> None:
    assert {sample_name(family) for family in metrics._gather()} == {row.name for row in rows()}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_each_metric_is_as_its_row_says(metrics: Metrics, row: Told) -> None:
    family = next(family for family in metrics._gather() if sample_name(family) == row.name)
    labels = {label for key in family.samples for label in re.findall(r'(\w+)="', key)} - {"le"}
    workers = "sum" if family.type in {"counter", "histogram"} else family.aggregation
    assert Told(row.name, labels, family.type, workers) == row


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_no_name_of_the_table_can_be_taken(metrics: Metrics, row: Told) -> None:
    make, name = MADE_BY[row.kind], row.name.removesuffix("_info")
    with pytest.raises(ValueError, match="Duplicated"):
        make(name, "Mine.", registry=metrics.registry)
