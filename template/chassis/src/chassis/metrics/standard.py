"""What every service exports, beside its requests: errors, health, build, event loop, process and disk."""

import platform
from collections.abc import Callable

from chassis import release
from chassis.metrics.cells import Buckets, Values, edges
from chassis.metrics.families import Family, series
from chassis.metrics.process import ProcessMetrics, reserved_names
from chassis.metrics.settings import MetricsSettings

_LAG = "service_event_loop_lag_seconds"
_LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LINES_DROPPED = "service_log_lines_dropped_total"
_RELEASED = "service_chassis_released_timestamp_seconds"

RESERVED = (
    "service_requests_total",
    "service_request_duration_seconds",
    "service_requests_in_progress",
    "service_errors_total",
    "service_rate_limited_total",
    "service_background_task_failures_total",
    "service_spans_dropped_total",
    _LINES_DROPPED,
    "service_health_status",
    "service_circuit_breaker_state",
    "service_build_info",
    _RELEASED,
    _LAG,
    *reserved_names(),
)
"""Names that nobody else may register."""


class StandardMetrics:
    """The values of one application that are the same in all services."""

    def __init__(
        self, settings: MetricsSettings, *, service: str, version: str, dropped_lines: Callable[[], int]
    ) -> None:
        self.errors = Values(
            "service_errors_total",
            "counter",
            "Errors by the component that met them and their type.",
            ("component", "type"),
        )
        self.rate_limited = Values(
            "service_rate_limited_total", "counter", "Requests refused by the rate limit.", ("route",)
        )
        self.task_failures = Values(
            "service_background_task_failures_total",
            "counter",
            "Failures of supervised background tasks.",
            ("task",),
        )
        self.spans_dropped = Values(
            "service_spans_dropped_total",
            "counter",
            "Trace spans that never reached the collector.",
            ("reason",),
        )
        self.health = Values(
            "service_health_status",
            "gauge",
            "1 healthy, 0.5 degraded, 0 unhealthy; of several workers the worst.",
            ("check",),
            "min",
        )
        self.circuits = Values(
            "service_circuit_breaker_state",
            "gauge",
            "0 closed, 1 half open, 2 open; of several workers the worst.",
            ("target",),
            "max",
        )
        self.lag = Buckets(_LAG, _LAG_BOUNDS, {})
        self._process = ProcessMetrics(settings.disk_path)
        self._dropped_lines = dropped_lines
        self._service = service
        self._version = version

    def families(self) -> list[Family]:
        """Return what is known now."""
        values = (
            self.errors,
            self.rate_limited,
            self.task_failures,
            self.spans_dropped,
            self.health,
            self.circuits,
        )
        return [
            *(value.family() for value in values),
            self._lines_dropped(),
            self._build(),
            _released(),
            self._event_loop(),
            *self._process.families(),
        ]

    def _lines_dropped(self) -> Family:
        return Family(
            name=_LINES_DROPPED.removesuffix("_total"),
            type="counter",
            help="Log lines that could not be written.",
            samples={_LINES_DROPPED: self._dropped_lines()},
        )

    def _event_loop(self) -> Family:
        family = Family(
            name=_LAG,
            type="histogram",
            help="Seconds that the event loop woke a sleeper too late.",
            bounds=",".join(edges(_LAG_BOUNDS)),
        )
        self.lag.add_to(family)
        return family

    def _build(self) -> Family:
        # The digest reads every file of the package once: at the first scrape, not when the process starts.
        labels = {
            "service": self._service,
            "version": self._version,
            "chassis_version": release.VERSION,
            "chassis_digest": release.digest(),
            "python_version": platform.python_version(),
        }
        return Family(
            name="service_build",
            type="info",
            help="What is running.",
            aggregation="max",
            samples={series("service_build_info", labels): 1},
        )


def _released() -> Family:
    return Family(
        name=_RELEASED,
        type="gauge",
        help="When the chassis in use was released, in seconds since the epoch.",
        aggregation="max",
        samples={_RELEASED: release.RELEASED_AT.timestamp()},
    )
