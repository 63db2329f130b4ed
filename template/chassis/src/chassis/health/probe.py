"""How a check is asked: within a time limit, not more often than needed, once at a time."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from chassis.health.check import CheckResult, Degraded, HealthCheck, ProbeFunction, Status
from chassis.health.settings import HealthSettings
from chassis.masking import mask_text
from chassis.structured import structlog

__all__ = ["Probe"]

log = structlog.get_logger("chassis.health")

_LONGEST_DETAIL = 300


class _Raised(NamedTuple):
    error: Exception


class Probe:
    """Asks one check.

    However many ask at the same time, one run of the probe answers all of them. A result is used again for a
    short time. A run that takes too long is unhealthy; it is cancelled, and as long as it ignores that no
    further run is started: a check holds at most one task and one thread, so that a dead dependency cannot
    eat the process.
    """

    def __init__(
        self,
        check: HealthCheck,
        settings: HealthSettings,
        *,
        clock: Callable[[], float],
        on_result: Callable[[CheckResult], None],
    ) -> None:
        self.check = check
        self._timeout = settings.timeout if check.timeout is None else check.timeout
        self._cache = settings.cache if check.cache is None else check.cache
        self._clock = clock
        self._on_result = on_result
        self._result: CheckResult | None = None
        self._flight: asyncio.Task[CheckResult] | None = None
        self._unfinished: set[asyncio.Future[Any]] = set()

    async def ask(self) -> CheckResult:
        """Return a result that is at most ``cache`` seconds old, after at most ``timeout`` seconds."""
        result = self._result
        if result is not None and self._clock() - result.checked_at < self._cache:
            return result
        if self._flight is None or self._flight.get_loop() is not asyncio.get_running_loop():
            # A context of its own: the probe belongs to no request, although one happens to ask first.
            self._flight = asyncio.create_task(
                self._run(), name=f"health {self.check.name}", context=contextvars.Context()
            )
        # Shielded: who asks may go away, the others still want the answer.
        return await asyncio.shield(self._flight)

    async def _run(self) -> CheckResult:
        started = self._clock()
        try:
            status, detail = await self._outcome()
            now = self._clock()
            result = CheckResult(
                self.check.name, status, self.check.critical, detail, max(0.0, now - started), now
            )
            self._tell(result)
            self._result = result
            return result
        finally:
            self._flight = None

    async def _outcome(self) -> tuple[Status, str | None]:
        loop = asyncio.get_running_loop()
        if any(future.get_loop() is loop for future in self._unfinished):
            return Status.UNHEALTHY, "an earlier run has still not returned"
        call = asyncio.create_task(self._call(), name=f"probe {self.check.name}")
        self._watch(call)
        done, _ = await asyncio.wait({call}, timeout=self._timeout)
        if not done:
            call.cancel()
            await asyncio.sleep(0)  # an obedient probe ends here and is not unfinished
            return Status.UNHEALTHY, f"no answer within {self._timeout:g} s"
        try:
            text = call.result()
        except Degraded as verdict:
            return Status.DEGRADED, _shown(str(verdict))
        except asyncio.CancelledError:
            return Status.UNHEALTHY, "cancelled"
        except Exception as error:  # noqa: BLE001 - any exception is the answer "unhealthy"
            return Status.UNHEALTHY, _shown(f"{type(error).__name__}: {error}")
        return Status.HEALTHY, None if text is None else _shown(text)

    async def _call(self) -> str | None:
        probe = self.check.probe
        result: object
        if inspect.iscoroutinefunction(probe):
            result = await probe()
        else:
            # Shielded: the future must last as long as the thread does.
            result = await asyncio.shield(self._in_thread(probe))
            if isinstance(result, _Raised):
                raise result.error
            if inspect.isawaitable(result):
                result = await result
        return None if result is None else str(result)

    def _in_thread(self, probe: ProbeFunction) -> "asyncio.Future[object]":
        """Run a probe in a daemon thread: a pool's threads would be waited for when the process ends."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()

        def run() -> None:
            try:
                outcome: object = probe()
            except Exception as error:  # noqa: BLE001 - raised again where the outcome is awaited
                outcome = _Raised(error)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(future.set_result, outcome)

        threading.Thread(target=run, name=f"health {self.check.name}", daemon=True).start()
        self._watch(future)
        return future

    def _watch(self, future: "asyncio.Future[Any]") -> None:
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)

    def _tell(self, result: CheckResult) -> None:
        before = self._result
        if result.status != (before.status if before else Status.HEALTHY):
            level = log.info if result.status is Status.HEALTHY else log.warning
            level(
                "health changed",
                check=result.name,
                status=result.status.value,
                critical=result.critical,
                detail=result.detail,
            )
        try:
            self._on_result(result)
        except Exception:
            log.exception("health callback failed", check=result.name)


def _shown(text: str) -> str:
    # Masked first: a secret that is cut in two might not be recognized.
    masked = mask_text(text)
    return masked if len(masked) <= _LONGEST_DETAIL else masked[: _LONGEST_DETAIL - 1] + "…"
