"""What is counted about the calls to one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from chassis.http_client.breaker import CircuitState
    from chassis.metrics import Metrics

__all__ = ["Meter"]


class Meter:
    """Counts attempts, their durations, retries and the state of the circuit; nothing without ``Metrics``."""

    def __init__(self, target: str, metrics: Metrics | None) -> None:
        self._target = target
        self._metrics = metrics
        self._families = None if metrics is None else _families(metrics)

    def attempt(self, method: str, status: str, seconds: float) -> None:
        """Count an attempt that was sent, and how long it took."""
        if self._families is not None:
            self._families.requests.labels(self._target, method, status).inc()
            self._families.seconds.labels(self._target).observe(seconds)

    def refused(self, method: str) -> None:
        """Count a call that the open circuit did not let through."""
        if self._families is not None:
            self._families.requests.labels(self._target, method, "circuit_open").inc()

    def retried(self) -> None:
        """Count a retry."""
        if self._families is not None:
            self._families.retries.labels(self._target).inc()

    def circuit(self, state: CircuitState) -> None:
        """Export the state of the circuit."""
        if self._metrics is not None:
            self._metrics.circuit_state(self._target, state)


@dataclass(frozen=True, slots=True)
class _Families:
    requests: Counter
    retries: Counter
    seconds: Histogram


# A name can be registered once, and all clients of an application share its families.
_KNOWN: WeakKeyDictionary[Metrics, _Families] = WeakKeyDictionary()


def _families(metrics: Metrics) -> _Families:
    known = _KNOWN.get(metrics)
    if known is None:
        known = _KNOWN[metrics] = _Families(
            requests=metrics.counter(
                "service_http_client_requests_total",
                "Attempts to call another service; status is its answer, or why there is none.",
                ("target", "method", "status"),
            ),
            retries=metrics.counter(
                "service_http_client_retries_total", "Attempts that followed a failed one.", ("target",)
            ),
            seconds=metrics.histogram(
                "service_http_client_request_duration_seconds",
                "Seconds from the start of an attempt to the end of its answer.",
                ("target",),
            ),
        )
    return known
