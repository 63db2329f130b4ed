"""Background tasks that are restarted when they fail."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from chassis.lifecycle.backoff import Backoff
from chassis.lifecycle.cancellation import is_cancelled
from chassis.structured import structlog

__all__ = ["FailureCallback", "Supervisor", "TaskFunction"]

log = structlog.get_logger("chassis.lifecycle")

TaskFunction = Callable[[], Coroutine[Any, Any, object]]
FailureCallback = Callable[[str, BaseException], None]


class Supervisor:
    """Runs coroutine functions side by side and restarts each one that raises.

    A failure is logged with its traceback, reported to ``on_failure(name, error)`` and followed by a wait
    that doubles with each failure in a row. A task that ran for ``backoff.longest`` seconds is healthy again:
    its count starts over. A task that returns is done and is not restarted.
    """

    def __init__(
        self,
        *,
        on_failure: FailureCallback | None = None,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._on_failure = on_failure
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, run: TaskFunction) -> None:
        """Run a task until it returns or ``stop`` is called. Needs a running event loop."""
        task = asyncio.create_task(self._supervise(name, run), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, limit: float) -> None:
        """Cancel all tasks and wait at most ``limit`` seconds; one that stays is logged and left."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, stuck = await asyncio.wait(tasks, timeout=limit)
        for task in stuck:
            log.error("background task does not stop", task=task.get_name(), timeout_seconds=limit)

    async def _supervise(self, name: str, run: TaskFunction) -> None:
        failures = 0
        while True:
            started = self._clock()
            try:
                await run()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                failure = error
            else:
                log.debug("background task ended", task=name)
                return
            failures = 1 if self._clock() - started >= self._backoff.longest else failures + 1
            delay = self._backoff.delay(failures, self._chance())
            self._report(name, failure, failures=failures, delay=delay)
            await self._sleep(delay)

    def _report(self, name: str, error: BaseException, *, failures: int, delay: float) -> None:
        log.error(
            "background task failed",
            task=name,
            failures=failures,
            restart_in_seconds=round(delay, 3),
            exc_info=error,
        )
        if self._on_failure is None:
            return
        try:
            self._on_failure(name, error)
        except Exception:
            log.exception("failure callback failed", task=name)
