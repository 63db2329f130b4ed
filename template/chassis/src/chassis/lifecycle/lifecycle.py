"""The order in which a service starts, drains and closes."""

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, NamedTuple, TypeVar

from chassis.lifecycle.backoff import Backoff
from chassis.lifecycle.cancellation import is_cancelled
from chassis.lifecycle.resource import Resource
from chassis.lifecycle.settings import LifecycleSettings
from chassis.lifecycle.supervision import FailureCallback, Supervisor, TaskFunction
from chassis.structured import structlog

__all__ = ["Lifecycle", "StartupError", "State"]

log = structlog.get_logger("chassis.lifecycle")

T = TypeVar("T")
State = Literal["starting", "ready", "draining", "stopped"]
Step = Callable[[], Awaitable[object] | object]

# How long a close that was cancelled for being late may take to notice it, in seconds.
_GRACE = 0.5


class StartupError(RuntimeError):
    """A part of the service did not start; the message names it, the cause is what it raised."""


class _Part(NamedTuple):
    name: str
    start: Step | None = None
    close: Step | None = None


class Lifecycle:
    """What a service opens, keeps running and closes.

    At start, parts start in the order of their registration, then the background tasks. If one part fails,
    those before it are closed and ``StartupError`` names it. At stop, the background tasks are cancelled,
    then parts close in reverse order; a close that fails or is late is logged and the rest still closes.

    A step is a function or a coroutine function. A function runs on the event loop and must not block: use
    ``asyncio.to_thread`` for slow work, so that its time can be limited.

    One lifecycle belongs to one application and may run again after it has stopped.
    """

    def __init__(
        self,
        settings: LifecycleSettings | None = None,
        *,
        on_task_failure: FailureCallback | None = None,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings or LifecycleSettings()
        self._state: State = "starting"
        self._running = False
        self._parts: list[_Part] = []
        self._open: list[_Part] = []
        self._tasks: list[tuple[str, TaskFunction]] = []
        self._drain_callbacks: list[tuple[str, Callable[[], object]]] = []
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._chance = chance
        self._supervisor = Supervisor(
            on_failure=on_task_failure, backoff=self._backoff, sleep=sleep, clock=clock, chance=chance
        )

    @property
    def state(self) -> State:
        """``starting`` until all is open, ``ready``, ``draining`` once a stop is announced, ``stopped``."""
        return self._state

    def on_start(self, name: str, step: Step) -> None:
        """Run a step when the service starts; if it raises, the service does not start."""
        self._add(_Part(name, start=step))

    def on_close(self, name: str, step: Step) -> None:
        """Run a step when the service stops, before the steps that were registered earlier.

        It may be called while the service runs.
        """
        part = _Part(name, close=step)
        (self._open if self._running else self._parts).append(part)

    def on_drain(self, name: str, callback: Callable[[], object]) -> None:
        """Call a function as soon as a stop is announced, while requests are still served."""
        self._drain_callbacks.append((name, callback))

    def resource(
        self,
        name: str,
        manage: Callable[[], AbstractAsyncContextManager[T]] | AbstractAsyncContextManager[T],
        *,
        required: bool = True,
        patience: float = 2.0,
    ) -> Resource[T]:
        """Keep a context manager open while the service runs, and return its handle.

        ``manage`` is a context manager or a function that makes a new one. After ``patience`` seconds the log
        says that it is slow to open. If ``required`` is false, the service starts without it then, and keeps
        trying in the background; that takes a function, because most context managers can be entered only once.
        """
        if not isinstance(manage, AbstractAsyncContextManager):
            factory = manage
        elif required:
            instance = manage

            def factory() -> AbstractAsyncContextManager[T]:
                return instance
        else:
            raise TypeError(f"the optional resource {name!r} needs a function that makes its context manager")
        resource = Resource(
            name,
            factory,
            required=required,
            patience=patience,
            backoff=self._backoff,
            sleep=self._sleep,
            chance=self._chance,
        )
        self._add(_Part(name, start=resource.open, close=resource.close))
        return resource

    def supervise(self, name: str, run: TaskFunction) -> None:
        """Run a coroutine function in the background while the service runs; restart it when it fails.

        It may be called while the service runs: then the task starts at once.
        """
        if self._running:
            self._supervisor.start(name, run)
        else:
            self._tasks.append((name, run))

    def begin_drain(self) -> None:
        """Announce the stop: from now on readiness fails and requests are still served.

        A second call does nothing.
        """
        if self._state in {"draining", "stopped"}:
            return
        self._state = "draining"
        for name, callback in self._drain_callbacks:
            try:
                callback()
            except Exception:
                log.exception("drain callback failed", callback=name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Lifecycle"]:
        """Start everything, and close everything at the end of the block. Raises ``StartupError``."""
        if self._running or self._open:
            raise RuntimeError("this lifecycle is already running: build one application for each server")
        self._state = "starting"
        try:
            await self._start()
            yield self
        finally:
            self.begin_drain()
            self._running = False
            await self._supervisor.stop(self._settings.close_timeout)
            while self._open:
                await self._close(self._open.pop())
            self._state = "stopped"

    def _add(self, part: _Part) -> None:
        if self._running:
            raise RuntimeError(f"{part.name!r} is registered too late: the service already runs")
        self._parts.append(part)

    async def _start(self) -> None:
        for part in self._parts:
            try:
                if part.start is not None:
                    await _run(part.start)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                reason = f"{type(error).__name__}: {error}"
                log.critical("startup failed", part=part.name, error=reason)
                raise StartupError(f"{part.name} did not start: {reason}") from error
            self._open.append(part)
        self._running = True
        for name, run in self._tasks:
            self._supervisor.start(name, run)
        if self._state == "starting":
            self._state = "ready"

    async def _close(self, part: _Part) -> None:
        if part.close is None:
            return
        task = asyncio.create_task(_run(part.close), name=f"close {part.name}")
        done, _ = await asyncio.wait({task}, timeout=self._settings.close_timeout)
        if not done:
            log.error("close takes too long", part=part.name, timeout_seconds=self._settings.close_timeout)
            task.cancel()
            # A close that ignores its cancellation is left behind: the rest must close too.
            done, _ = await asyncio.wait({task}, timeout=_GRACE)
        elif task.cancelled():
            log.error("close failed", part=part.name, error="something that it awaited was cancelled")
        error = next((task.exception() for task in done if not task.cancelled()), None)
        if error is not None:
            log.error("close failed", part=part.name, exc_info=error)


async def _run(step: Step) -> None:
    result = step()
    if inspect.isawaitable(result):
        await result
