"""The `Metrics` object of an application, which the rest of the chassis and the bundles use."""

import asyncio
import atexit
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

from chassis.errors import Unavailable
from chassis.metrics.directory import prepare, worker_directory
from chassis.metrics.exchange import Exchange
from chassis.metrics.exposition import expose
from chassis.metrics.families import Aggregation, Family
from chassis.metrics.requests import RequestMetrics
from chassis.metrics.settings import MetricsSettings
from chassis.metrics.standard import RESERVED, StandardMetrics
from chassis.pattern import pattern
from chassis.structured import structlog

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

    from chassis.metrics.registry import ServiceRegistry

SNAPSHOT_SECONDS = 1.0
MOST_SCRAPES = 8
"""Scrapes that wait at a time. One whose scraper has gone waits on, with its request, for as long as one hangs."""

_NAME = pattern(r"service_[a-z0-9]+(_[a-z0-9]+)*")
_LABEL = pattern(r"[a-z][a-z0-9_]*")
_TAKEN_LABELS = frozenset({"le", "pid", "quantile"})
_SUFFIXES = ("_bucket", "_count", "_created", "_info", "_sum")

_logger = structlog.get_logger("chassis.metrics")


class Metrics:
    """The metrics of one application: nothing is global, so two applications live in one process.

    `start` and `close` belong to the life of the process; `requests` and the named methods record; `scrape`
    answers Prometheus. A full disk or another worker's trouble raises nothing: it is logged, and the answer is
    then this worker's alone. ``dropped_lines`` tells how many log lines the process has lost so far.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        *,
        service: str,
        version: str,
        dropped_lines: Callable[[], int] = int,
    ) -> None:
        self.enabled = settings.enabled
        self.requests = RequestMetrics(bounds=settings.buckets, max_routes=settings.max_routes)
        self._standard = StandardMetrics(
            settings, service=service, version=version, dropped_lines=dropped_lines
        )
        self._settings = settings
        self._service = service
        self._registry: ServiceRegistry | None = None
        self._exchange: Exchange | None = None
        self._lock = threading.Lock()
        self._published = True
        self._stopping = threading.Event()
        self._sharing: threading.Thread | None = None
        self._scrapes = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._waiting = 0

    # What the chassis records.

    def error(self, component: str, kind: str) -> None:
        """Count an error by the component that met it and its type, such as an exception's class name."""
        self._standard.errors.cell(component, kind).inc()

    def rate_limited(self, route: str) -> None:
        """Count a refused request to this route template."""
        self._standard.rate_limited.cell(self.requests.route_label(route)).inc()

    def task_failed(self, task: str) -> None:
        """Count a failure of a supervised background task."""
        self._standard.task_failures.cell(task).inc()

    def spans_dropped(self, reason: str, count: int) -> None:
        """Count spans that were lost before or at their export."""
        self._standard.spans_dropped.cell(reason).inc(count)

    def health_status(self, check: str, value: float) -> None:
        """Record a health check's result: 1 healthy, 0.5 degraded, 0 unhealthy."""
        self._standard.health.cell(check).set(value)

    def circuit_state(self, target: str, value: float) -> None:
        """Record a circuit breaker's state: 0 closed, 1 half open, 2 open."""
        self._standard.circuits.cell(target).set(value)

    # What services and bundles define.

    @property
    def registry(self) -> "ServiceRegistry":
        """The prometheus-client registry; libraries may register collectors in it, under any name."""
        if self._registry is None:
            from chassis.metrics.registry import ServiceRegistry

            self._registry = ServiceRegistry(self._own, RESERVED)
        return self._registry

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> "Counter":
        """Make a counter. Raise ValueError for a name in use or other than `service_<what>_total`."""
        from prometheus_client import Counter

        _check(name, labels)
        if not name.endswith("_total"):
            raise ValueError(f"a counter's name ends with _total: {name}_total")
        return Counter(name, documentation, labels, registry=self.registry)

    def gauge(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, aggregation: Aggregation = "each"
    ) -> "Gauge":
        """Make a gauge; `aggregation` says what its values in several workers become.

        Raise ValueError for a name in use or other than `service_<what>_<unit>`.
        """
        from prometheus_client import Gauge

        _check(name, labels)
        gauge = Gauge(name, documentation, labels, registry=self.registry)
        self.registry.aggregations[name] = aggregation
        return gauge

    def histogram(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] | None = None,
    ) -> "Histogram":
        """Make a histogram; its buckets are those of the requests unless given.

        Raise ValueError for a name in use or other than `service_<what>_<unit>`.
        """
        from prometheus_client import Histogram

        _check(name, labels)
        bounds = self._settings.buckets if buckets is None else buckets
        return Histogram(name, documentation, labels, registry=self.registry, buckets=tuple(bounds))

    # The process's life.

    def start(self) -> None:
        """Join the other workers, if there are any. A single process has none and writes no file."""
        directory = worker_directory(self._settings, self._service)
        if not self.enabled or directory is None or self._exchange is not None:
            return
        try:
            prepare(directory, self._settings)
            exchange = Exchange(directory)
            exchange.compact()
            exchange.write(self._gather())
        except OSError as error:
            _warn("metrics are this worker's alone: set METRICS_DIR to a writable directory", error)
            return
        self._exchange = exchange
        # A thread, so that a blocked event loop does not make the values that others read any older.
        self._sharing = threading.Thread(target=self._share, args=(exchange,), name="metrics", daemon=True)
        self._sharing.start()
        atexit.register(self.close)

    def close(self) -> None:
        """Leave the last values to the other workers. Without `start`, and a second time, it does nothing."""
        if self._sharing is None or self._exchange is None:
            return
        self._stopping.set()
        self._sharing.join()
        self._sharing = None
        atexit.unregister(self.close)
        with self._lock:
            try:
                self._exchange.close(self._gather())
            except OSError as error:
                _warn("the last metrics of this worker are lost", error)

    async def watch_event_loop(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure, until cancelled, how late the event loop wakes a sleeper: what else kept it busy."""
        interval = self._settings.loop_interval
        while True:
            begun = clock()
            await sleep(interval)
            self._standard.lag.observe(max(0.0, clock() - begun - interval))

    # A scrape.

    async def scrape(self, accept: str | None = None) -> tuple[bytes, str]:
        """Return what ``render`` does, from a thread: thousands of series would keep requests waiting.

        One at a time, in a thread of their own, so that a collector that hangs takes no other from anybody.
        Raises ``Unavailable`` when ``MOST_SCRAPES`` are waiting already.
        """
        if self._waiting >= MOST_SCRAPES:
            raise Unavailable("Earlier scrapes have not ended: a metrics collector may hang.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._scrapes, copy_context().run, self.render, accept
            )
        finally:
            self._waiting -= 1

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """Return the body and content type of a scrape's answer, for all workers. Safe in any thread."""
        return expose(self._all(), accept)

    def _all(self) -> list[Family]:
        with self._lock:
            own = self._gather()
            exchange = self._exchange
            if exchange is None:
                return own
            if exchange.closed:
                return exchange.merged([])
            # Before the answer: then no later scrape, whoever answers it, tells less than this one.
            self._publish(exchange, own)
            return exchange.merged(own)

    def _share(self, exchange: Exchange) -> None:
        while not self._stopping.wait(SNAPSHOT_SECONDS):
            with self._lock:
                self._publish(exchange, self._gather())

    def _publish(self, exchange: Exchange, own: list[Family]) -> None:
        try:
            exchange.write(own)
        except OSError as error:
            # Once, not every second: until it works again, or for good.
            if self._published:
                _warn("metrics cannot be shared with the other workers", error)
            self._published = False
        else:
            self._published = True

    def _gather(self) -> list[Family]:
        return self._own() + (self._registry.families() if self._registry is not None else [])

    def _own(self) -> list[Family]:
        return self.requests.families() + self._standard.families()


def _check(name: str, labels: Sequence[str]) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a metric's name is service_ and lower snake case, as in service_orders_placed_total: {name}"
        )
    if name.endswith(_SUFFIXES):
        raise ValueError(
            f"a metric's name does not end with a suffix that formats add ({', '.join(_SUFFIXES)}): {name}"
        )
    for label in labels:
        if not _LABEL.fullmatch(label) or label in _TAKEN_LABELS:
            raise ValueError(
                f"a label's name is lower snake case and none of {sorted(_TAKEN_LABELS)}: {label}"
            )


def _warn(event: str, error: OSError) -> None:
    _logger.warning(event, error=str(error))
