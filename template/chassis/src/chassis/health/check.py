"""One question about the service's health, and the result of asking it."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

__all__ = ["CheckResult", "Degraded", "HealthCheck", "ProbeFunction", "Status"]

ProbeFunction = Callable[[], Awaitable[str | None] | str | None]


class Status(StrEnum):
    """How a check or the whole service is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"

    @property
    def score(self) -> float:
        """The status as a gauge: 1 healthy, 0.5 degraded, 0 unhealthy."""
        return _SCORES[self]


_SCORES = {Status.HEALTHY: 1.0, Status.DEGRADED: 0.5, Status.UNHEALTHY: 0.0}


class Degraded(Exception):  # noqa: N818 - a probe raises it as its verdict; it is no error
    """Raised by a probe whose subject works, but worse than it should."""


class HealthCheck(NamedTuple):
    """One question about the service's health.

    ``probe`` returns (a text for people, or nothing) if all is well, and raises ``Degraded`` or any other
    exception if not. A coroutine function runs on the event loop and must not block it; a plain function runs
    in a thread of its own.

    A failed ``critical`` check makes the service not ready. A failed check that is not critical makes it
    degraded: it still gets requests.

    ``timeout`` and ``cache`` are in seconds; None takes those of ``HealthSettings``.
    """

    name: str
    probe: ProbeFunction
    critical: bool = True
    timeout: float | None = None
    cache: float | None = None


class CheckResult(NamedTuple):
    """What one run of a check found. The detail is masked: it may be shown."""

    name: str
    status: Status
    critical: bool
    detail: str | None
    duration_seconds: float
    checked_at: float
    """Seconds on the monotonic clock."""
