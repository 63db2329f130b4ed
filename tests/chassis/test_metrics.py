"""What one application measures."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
from log_capture import capture_logs
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import ValidationError

from chassis import release
from chassis.errors import Unavailable
from chassis.metrics import OTHER_METHOD, OVERFLOW, UNMATCHED, Metrics, MetricsSettings
from chassis.metrics.service import MOST_SCRAPES
from chassis.settings import Settings, load


def make(**settings: object) -> Metrics:
    return Metrics(MetricsSettings(**settings), service="orders", version="1.2.3")


def values(metrics: Metrics) -> dict[str, float]:
    """What a scrape tells: each series and its value."""
    lines = metrics.render()[0].decode().splitlines()
    return {
        series: float(value)
        for series, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def request(
    metrics: Metrics,
    method: str = "GET",
    route: str = "/items/{id}",
    status: int = 200,
    seconds: float = 0.02,
):
    metrics.requests.started()
    metrics.requests.finished(method, route, status, seconds)


def test_a_request_is_counted_and_timed_by_method_route_and_status() -> None:
    metrics = make()
    request(metrics, seconds=0.02)
    request(metrics, seconds=0.3)
    request(metrics, status=404, seconds=0.025)
    told = values(metrics)
    labels = 'method="GET",route="/items/{id}"'
    assert told[f'service_requests_total{{{labels},status="200"}}'] == 2
    assert told[f'service_requests_total{{{labels},status="404"}}'] == 1
    assert told[f"service_request_duration_seconds_count{{{labels}}}"] == 3
    assert told[f"service_request_duration_seconds_sum{{{labels}}}"] == pytest.approx(0.345)


def test_a_bucket_counts_what_is_at_most_its_bound() -> None:
    metrics = make(buckets=(0.1, 0.5))
    for seconds in (0.05, 0.1, 0.100001, 0.5, 7.0):
        request(metrics, seconds=seconds)
    told = values(metrics)
    buckets = {
        le: told[f'service_request_duration_seconds_bucket{{le="{le}",method="GET",route="/items/{{id}}"}}']
        for le in ("0.1", "0.5", "+Inf")
    }
    assert buckets == {"0.1": 2, "0.5": 4, "+Inf": 5}


def test_requests_in_progress_are_those_started_and_not_finished() -> None:
    metrics = make()
    metrics.requests.started()
    metrics.requests.started()
    metrics.requests.finished("GET", "/", 200, 0.1)
    assert values(metrics)["service_requests_in_progress"] == 1


def test_the_labels_of_a_route_and_status_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = make()
    looked_up = []
    look_up = metrics.requests.route_label
    monkeypatch.setattr(
        metrics.requests, "route_label", lambda route: looked_up.append(route) or look_up(route)
    )
    for status in (200, 200, 404, 404):
        request(metrics, status=status)
    assert looked_up == ["/items/{id}"] * 2


def test_methods_that_a_stranger_invents_are_one_label_value_and_take_no_memory() -> None:
    metrics = make()
    for number in range(1000):
        request(metrics, method=f"METHOD{number}")
    told = values(metrics)
    assert (
        told[f'service_requests_total{{method="{OTHER_METHOD}",route="/items/{{id}}",status="200"}}'] == 1000
    )
    assert len(metrics.requests._cells) == 1


@pytest.mark.parametrize(
    "method", ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]
)
def test_each_standard_method_is_a_label_value(method: str) -> None:
    metrics = make()
    request(metrics, method=method)
    assert (
        values(metrics)[f'service_requests_total{{method="{method}",route="/items/{{id}}",status="200"}}']
        == 1
    )


def test_a_scan_over_unmatched_paths_is_one_series() -> None:
    metrics = make()
    for _ in range(10_000):
        request(metrics, route=UNMATCHED, status=404)
    counted = [series for series in values(metrics) if series.startswith("service_requests_total")]
    assert counted == [f'service_requests_total{{method="GET",route="{UNMATCHED}",status="404"}}']


def test_routes_above_the_bound_share_one_label_value_and_take_no_memory() -> None:
    metrics = make(max_routes=3)
    for number in range(1000):
        request(metrics, route=f"/r{number}")
        metrics.rate_limited(f"/r{number}")
    request(metrics, route=UNMATCHED)
    told = values(metrics)
    assert told[f'service_requests_total{{method="GET",route="{OVERFLOW}",status="200"}}'] == 997
    assert told[f'service_requests_total{{method="GET",route="{UNMATCHED}",status="200"}}'] == 1
    assert told[f'service_rate_limited_total{{route="{OVERFLOW}"}}'] == 997
    assert len(metrics.requests._cells) == 5


@pytest.mark.parametrize(
    ("name", "record", "labels", "value"),
    [
        ("service_errors_total", lambda metrics, text: metrics.error("a", text), ["component", "type"], 500),
        ("service_background_task_failures_total", Metrics.task_failed, ["task"], 500),
        (
            "service_spans_dropped_total",
            lambda metrics, text: metrics.spans_dropped(text, 1),
            ["reason"],
            500,
        ),
        ("service_rate_limited_total", Metrics.rate_limited, ["route"], 500),
        ("service_health_status", lambda metrics, text: metrics.health_status(text, 1), ["check"], 1),
        (
            "service_circuit_breaker_state",
            lambda metrics, text: metrics.circuit_state(text, 2),
            ["target"],
            2,
        ),
    ],
)
def test_label_sets_above_the_bound_share_one_series(
    name: str, record: Callable[[Metrics, str], None], labels: list[str], value: float
) -> None:
    metrics = make(max_routes=5_000)
    for number in range(1500):
        record(metrics, f"x{number}")
    told = values(metrics)
    overflow = ",".join(f'{label}="{OVERFLOW}"' for label in labels)
    assert told[f"{name}{{{overflow}}}"] == value
    assert len([series for series in told if series.startswith(name)]) == 1001


def test_metrics_of_a_service_have_as_many_label_sets_as_it_gives_them() -> None:
    metrics = make()
    orders = metrics.counter("service_orders_total", "Orders.", ["channel"])
    for number in range(1500):
        orders.labels(str(number)).inc()
    told = values(metrics)
    assert len([series for series in told if series.startswith("service_orders_total")]) == 1500


def test_every_fixed_name_is_exported() -> None:
    metrics = make()
    request(metrics)
    metrics.error("cache", "timeout")
    metrics.rate_limited("/items/{id}")
    metrics.task_failed("sync")
    metrics.spans_dropped("queue_full", 3)
    metrics.health_status("database", 0.5)
    metrics.circuit_state("billing", 2)
    told = values(metrics)
    assert told['service_errors_total{component="cache",type="timeout"}'] == 1
    assert told['service_rate_limited_total{route="/items/{id}"}'] == 1
    assert told['service_background_task_failures_total{task="sync"}'] == 1
    assert told['service_spans_dropped_total{reason="queue_full"}'] == 3
    assert told['service_health_status{check="database"}'] == 0.5
    assert told['service_circuit_breaker_state{target="billing"}'] == 2
    assert told["service_chassis_released_timestamp_seconds"] == release.RELEASED_AT.timestamp()
    build = next(series for series in told if series.startswith("service_build_info"))
    for label in (
        'service="orders"',
        'version="1.2.3"',
        f'chassis_version="{release.VERSION}"',
        f'chassis_digest="{release.digest()}"',
        'python_version="3.',
    ):
        assert label in build
    assert told[build] == 1


def test_process_and_disk_are_measured_at_the_scrape(tmp_path: Path) -> None:
    told = values(make(disk_path=tmp_path))
    for name in (
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_threads",
        "process_start_time_seconds",
        f'service_disk_total_bytes{{path="{tmp_path}"}}',
        f'service_disk_free_bytes{{path="{tmp_path}"}}',
    ):
        assert told[name] > 0, name
    assert told["process_cpu_seconds_total"] == pytest.approx(sum(os.times()[:2]), abs=2)
    assert "python_gc_collections_total" in {series.partition("{")[0] for series in told}


def test_the_limit_of_open_files_is_told_where_the_system_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "process_max_fds" not in values(make())


def test_a_disk_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert not [series for series in values(make(disk_path=tmp_path / "gone")) if "disk" in series]


def test_a_process_that_may_not_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    def refuse(_: psutil.Process) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "num_threads", refuse)
    told = values(make())
    assert "process_cpu_seconds_total" not in told
    assert "service_requests_in_progress" in told


@pytest.mark.parametrize("interval", [1.0, 5.0])
async def test_the_event_loop_is_watched_at_the_interval_of_the_setting(interval: float) -> None:
    async def sleep(seconds: float) -> None:
        assert seconds == interval
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await make(loop_interval=interval).watch_event_loop(sleep=sleep)


async def test_the_event_loops_lag_is_how_much_later_than_asked_it_woke_up() -> None:
    metrics = make(loop_interval=1.0)
    now = 100.0
    pauses = iter([1.0, 1.2])

    async def sleep(_: float) -> None:
        nonlocal now
        pause = next(pauses, None)
        if pause is None:
            raise asyncio.CancelledError
        now += pause

    with pytest.raises(asyncio.CancelledError):
        await metrics.watch_event_loop(sleep=sleep, clock=lambda: now)
    told = values(metrics)
    assert told["service_event_loop_lag_seconds_count"] == 2
    assert told["service_event_loop_lag_seconds_sum"] == pytest.approx(0.2)
    assert told['service_event_loop_lag_seconds_bucket{le="0.001"}'] == 1


def test_a_service_defines_metrics_of_its_own() -> None:
    metrics = make()
    metrics.counter("service_orders_placed_total", "Orders.", ["channel"]).labels("web").inc(2)
    metrics.gauge("service_queue_length", "Waiting.").set(7)
    metrics.histogram("service_payment_seconds", "Payments.", buckets=(1, 2)).observe(1.5)
    metrics.histogram("service_other_seconds", "Others.").observe(1.5)
    told = values(metrics)
    assert told['service_orders_placed_total{channel="web"}'] == 2
    assert told["service_queue_length"] == 7
    assert told['service_payment_seconds_bucket{le="2.0"}'] == 1
    assert told['service_other_seconds_bucket{le="0.005"}'] == 0
    assert not [series for series in told if "_created" in series]


def test_metrics_of_a_service_are_objects_of_prometheus_client() -> None:
    metrics = make()
    assert type(metrics.counter("service_a_total", "A.")) is Counter
    assert type(metrics.gauge("service_b", "B.")) is Gauge
    assert type(metrics.histogram("service_c", "C.")) is Histogram


@pytest.mark.parametrize(
    ("given", "aggregation"),
    [({}, "each"), *(({"aggregation": name}, name) for name in ("sum", "max", "min", "each"))],
)
def test_a_gauge_says_what_its_values_in_workers_become(given: dict[str, str], aggregation: str) -> None:
    metrics = make()
    metrics.gauge("service_queue_length", "Waiting.", **given).set(1)
    gauge = next(family for family in metrics._gather() if family.name == "service_queue_length")
    assert gauge.aggregation == aggregation


@pytest.mark.parametrize(
    "name", ["orders_total", "service_Orders_total", "service_", "service_a__b_total", "service_a\n_total"]
)
def test_a_name_that_is_not_service_and_snake_case_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="service_ and lower snake case"):
        make().counter(name, "Orders.")


def test_a_counter_whose_name_does_not_end_with_total_is_refused_with_the_right_name() -> None:
    with pytest.raises(ValueError, match="service_orders_total"):
        make().counter("service_orders", "Orders.")


@pytest.mark.parametrize("suffix", ["_bucket", "_count", "_created", "_info", "_sum"])
def test_a_name_with_a_suffix_that_formats_add_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match="suffix"):
        make().gauge(f"service_orders{suffix}", "Orders.")


@pytest.mark.parametrize("label", ["le", "pid", "quantile", "Channel", "", "a-b"])
def test_a_label_that_formats_or_workers_use_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        make().histogram("service_orders_seconds", "Orders.", [label])


@pytest.mark.parametrize(
    "name", ["service_requests_total", "service_errors_total", "service_rate_limited_total"]
)
def test_a_name_of_the_chassis_cannot_be_taken(name: str) -> None:
    with pytest.raises(ValueError, match="Duplicated"):
        make().counter(name, "Mine.")


def test_a_name_cannot_be_taken_twice() -> None:
    metrics = make()
    metrics.gauge("service_queue_length", "Waiting.")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.gauge("service_queue_length", "Waiting.")


def test_the_variables_are_read(tmp_path: Path) -> None:
    class Composed(Settings):
        metrics: MetricsSettings = MetricsSettings()

    environ = {"METRICS_BUCKETS": "0.1,1", "METRICS_DIR": "/run/metrics", "METRICS_ENABLED": "false"}
    read = load(Composed, environ=environ, directory=tmp_path).metrics
    assert (read.buckets, read.directory, read.enabled) == ((0.1, 1.0), Path("/run/metrics"), False)


def test_two_applications_in_one_process_share_nothing() -> None:
    one, other = make(), make()
    for metrics in (one, other):
        metrics.counter("service_orders_placed_total", "Orders.")
    request(one)
    series = 'service_requests_total{method="GET",route="/items/{id}",status="200"}'
    assert values(one)[series] == 1
    assert series not in values(other)


def test_the_global_registry_of_prometheus_client_is_not_used() -> None:
    metrics = make()
    metrics.counter("service_orders_placed_total", "Orders.").inc()
    request(metrics)
    assert [metric.name for metric in REGISTRY.collect() if metric.name.startswith("service_")] == []


def test_the_registry_tells_what_the_chassis_and_the_service_measure() -> None:
    metrics = make()
    request(metrics)
    metrics.gauge("service_queue_length", "Waiting.").set(7)
    labels = {"method": "GET", "route": "/items/{id}", "status": "200"}
    assert metrics.registry.get_sample_value("service_requests_total", labels) == 1
    assert metrics.registry.get_sample_value("service_queue_length") == 7


def test_a_library_may_register_a_collector_of_any_name() -> None:
    metrics = make()
    Gauge("library.depth-now", "UTF-8 names get underscores.", ["la.bel"], registry=metrics.registry).labels(
        "x"
    ).set(3)
    Info("library", "A library.", registry=metrics.registry).info({"version": "2"})
    told = values(metrics)
    assert told['library_depth_now{la_bel="x"}'] == 3
    assert told['library_info{version="2"}'] == 1


@pytest.mark.anyio
async def test_a_collector_that_hangs_takes_one_thread_however_often_it_is_asked() -> None:
    metrics, asked, free = make(), threading.Event(), threading.Event()

    class Hangs(Collector):
        def collect(self) -> Iterator[Metric]:
            asked.set()
            free.wait()
            yield from ()

    before = threading.active_count()
    metrics.registry.register(Hangs())
    scrapes = [asyncio.create_task(metrics.scrape()) for _ in range(MOST_SCRAPES)]
    assert await asyncio.to_thread(asked.wait, 30)
    assert threading.active_count() <= before + 2  # this one, and the one that asked
    for _ in range(3):
        with pytest.raises(Unavailable, match="may hang"):
            await metrics.scrape()
    free.set()
    assert len(await asyncio.gather(*scrapes)) == MOST_SCRAPES
    assert await metrics.scrape()


@pytest.mark.anyio
async def test_what_is_logged_of_a_scrape_has_the_context_of_its_request() -> None:
    metrics = make()
    seen: list[str] = []
    name: ContextVar[str] = ContextVar("name")

    class Asks(Collector):
        def collect(self) -> Iterator[Metric]:
            seen.append(name.get())
            yield from ()

    metrics.registry.register(Asks())
    name.set("scrape")
    await metrics.scrape()
    assert seen == ["scrape"]


def test_a_collector_that_fails_is_logged_and_left_out() -> None:
    class Broken:
        def collect(self):
            yield GaugeMetricFamily("service_seen", "Before the failure.", 1)
            raise RuntimeError("no connection")

    metrics = make()
    metrics.registry.register(Broken())
    metrics.gauge("service_queue_length", "Waiting.").set(7)
    with capture_logs() as logs:
        told = values(metrics)
    assert told["service_queue_length"] == 7
    assert [line["event"] for line in logs] == ["metrics collector failed"]


def test_a_single_process_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    metrics = make()
    metrics.start()
    request(metrics)
    metrics.render()
    metrics.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("buckets", [(0.0, 1.0), (-1.0,), (1.0, 1.0), (2.0, 1.0), ()])
def test_buckets_must_increase_from_above_zero(buckets: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        MetricsSettings(buckets=buckets)


def test_lost_log_lines_are_read_at_each_scrape() -> None:
    lost = [0]
    metrics = Metrics(MetricsSettings(), service="orders", version="1", dropped_lines=lambda: lost[0])
    assert b"service_log_lines_dropped_total 0\n" in metrics.render()[0]
    lost[0] = 7
    assert b"service_log_lines_dropped_total 7\n" in metrics.render()[0]
