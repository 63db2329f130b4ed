"""All checks of a service, and what follows from them."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from starlette.routing import Route

from chassis.health.check import CheckResult, HealthCheck, Status
from chassis.health.probe import Probe
from chassis.health.routes import operator_routes, probe_routes
from chassis.health.settings import HealthSettings
from chassis.health.system import System
from chassis.lifecycle import Lifecycle, State

__all__ = ["Health", "HealthReport", "Readiness"]


class HealthReport(NamedTuple):
    """The results of all checks at one time."""

    status: Status
    checks: tuple[CheckResult, ...]

    @property
    def failing(self) -> list[str]:
        """Names of the critical checks that failed."""
        return [check.name for check in self.checks if check.critical and check.status is Status.UNHEALTHY]


class Readiness(NamedTuple):
    """Whether the service should get requests, and why not."""

    ready: bool
    reason: str
    state: State
    failing: tuple[str, ...] = ()


class Health:
    """The health of one service: register a check for each thing that it depends on.

    Memory and disk are checked without being asked. ``on_result(check, value)`` is told each result as a
    number: 1 healthy, 0.5 degraded, 0 unhealthy.
    """

    def __init__(
        self,
        settings: HealthSettings | None = None,
        *,
        lifecycle: Lifecycle,
        service: str = "service",
        version: str = "0.0.0",
        on_result: Callable[[str, float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        system: System | None = None,
    ) -> None:
        self.service = service
        self.version = version
        self.lifecycle = lifecycle
        self.clock = clock
        self._settings = settings or HealthSettings()
        self.system = system or System(self._settings)
        self._on_result = on_result
        self._started = clock()
        self._probes: dict[str, Probe] = {}
        for check in self.system.checks():
            self.add(check)

    def add(self, check: HealthCheck) -> None:
        """Register a check. Raises ``ValueError`` if its name is taken."""
        if check.name in self._probes:
            raise ValueError(f"there is already a health check {check.name!r}: give this one another name")
        self._probes[check.name] = Probe(check, self._settings, clock=self.clock, on_result=self._export)

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the service was built."""
        return self.clock() - self._started

    async def report(self) -> HealthReport:
        """Run all checks side by side, or take their cached results.

        It takes as long as the slowest check, and no longer than the longest time limit. It never raises.
        """
        results = await asyncio.gather(*(probe.ask() for probe in self._probes.values()))
        return HealthReport(overall(results), tuple(results))

    async def ready(self) -> Readiness:
        """Tell whether the service should get requests: it runs, is not stopping, nothing critical fails."""
        state = self.lifecycle.state
        if state != "ready":
            return Readiness(ready=False, reason=f"The service is {state}.", state=state)
        report = await self.report()
        if report.status is Status.UNHEALTHY:
            failing = report.failing
            reason = f"A critical check fails: {', '.join(failing)}."
            return Readiness(ready=False, reason=reason, state=state, failing=tuple(failing))
        return Readiness(ready=True, reason=report.status.value, state=state)

    def routes(self) -> list[Route]:
        """Return the routes of ``/health``, ``/health/live`` and ``/health/ready``."""
        return probe_routes(self)

    def detailed_routes(self) -> list[Route]:
        """Return the route of ``/health/detailed``, which is for operators."""
        return operator_routes(self)

    def _export(self, result: CheckResult) -> None:
        if self._on_result is not None:
            self._on_result(result.name, result.status.score)


def overall(results: Iterable[CheckResult]) -> Status:
    """Return what checks mean together: a failed check that is not critical only degrades."""
    status = Status.HEALTHY
    for result in results:
        if result.critical and result.status is Status.UNHEALTHY:
            return Status.UNHEALTHY
        if result.status is not Status.HEALTHY:
            status = Status.DEGRADED
    return status
