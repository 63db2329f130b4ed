"""Reading metrics as a scrape sees them."""

import pytest

from chassis.metrics import Metrics, MetricsSettings
from chassis.testing import MetricsReader


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(MetricsSettings(), service="orders", version="1.0")


def test_values_of_the_chassis_and_of_the_service_are_read(metrics: Metrics) -> None:
    metrics.rate_limited("/items")
    metrics.counter("service_orders_total", "Orders.", ("kind",)).labels("gift").inc(3)
    reader = MetricsReader(metrics)
    assert reader.value("service_rate_limited_total", route="/items") == 1
    assert reader.value("service_orders_total", kind="gift") == 3


def test_samples_that_carry_the_labels_are_added_up(metrics: Metrics) -> None:
    orders = metrics.counter("service_orders_total", "Orders.", ("kind", "country"))
    orders.labels("gift", "de").inc()
    orders.labels("gift", "fr").inc()
    orders.labels("own", "fr").inc()
    assert MetricsReader(metrics).value("service_orders_total", kind="gift") == 2


def test_labels_that_nothing_counted_yet_are_zero(metrics: Metrics) -> None:
    metrics.counter("service_orders_total", "Orders.", ("kind",))
    assert MetricsReader(metrics).value("service_orders_total", kind="gift") == 0


@pytest.mark.parametrize("name", ["service_order_total", "service_orders_totals"])
def test_a_metric_that_nothing_exports_is_an_error(metrics: Metrics, name: str) -> None:
    metrics.counter("service_orders_total", "Orders.")
    with pytest.raises(LookupError, match="no metric is called"):
        MetricsReader(metrics).value(name)


def test_parts_of_a_histogram_are_read(metrics: Metrics) -> None:
    metrics.histogram("service_order_seconds", "Time.").observe(2)
    reader = MetricsReader(metrics)
    assert reader.value("service_order_seconds_count") == 1
    assert reader.value("service_order_seconds_sum") == 2
    assert reader.value("service_order_seconds_bucket", le="+Inf") == 1


def test_a_delta_tells_what_was_added_since(metrics: Metrics) -> None:
    orders = metrics.counter("service_orders_total", "Orders.")
    orders.inc(5)
    added = MetricsReader(metrics).delta("service_orders_total")
    orders.inc(2)
    assert added() == 2


def test_the_values_of_a_label_are_listed(metrics: Metrics) -> None:
    orders = metrics.counter("service_orders_total", "Orders.", ("kind",))
    orders.labels("gift")
    orders.labels("own")
    reader = MetricsReader(metrics)
    assert reader.labels("service_orders_total", "kind") == {"gift", "own"}
    assert reader.labels("service_orders_total", "colour") == set()
