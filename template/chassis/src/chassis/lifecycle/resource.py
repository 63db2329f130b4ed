"""One thing that is open while the service runs."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar, cast

from chassis.errors import Unavailable
from chassis.lifecycle.backoff import Backoff
from chassis.lifecycle.cancellation import is_cancelled
from chassis.structured import structlog

__all__ = ["Resource"]

log = structlog.get_logger("chassis.lifecycle")

T = TypeVar("T")

_ABSENT = object()


class Resource(Generic[T]):
    """The handle of a resource: whether it is open, and what opening it gave.

    One task of its own enters and leaves the context manager, because task groups and cancel scopes inside it
    must be left by the task that entered them. A resource that is not required is opened again and again,
    with back-off, until it is there; each failed attempt is a warning in the log.
    """

    def __init__(
        self,
        name: str,
        manage: Callable[[], AbstractAsyncContextManager[T]],
        *,
        required: bool = True,
        patience: float = 2.0,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.required = required
        self.error: BaseException | None = None
        """Why the resource is not open, if the last attempt failed."""
        self._manage = manage
        self._patience = patience
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._chance = chance
        self._value: object = _ABSENT
        self._closing = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether the resource is open now."""
        return self._value is not _ABSENT

    @property
    def value(self) -> T:
        """What the context manager gave. Raises ``Unavailable`` (503) while the resource is not open."""
        if self._value is _ABSENT:
            raise Unavailable(f"{self.name} is not available.", retry_after=self._backoff.first)
        return cast("T", self._value)

    async def open(self) -> None:
        """Open the resource; what its context manager raises is raised here.

        After ``patience`` seconds the log says that it is slow. If it is not required, go on without it then.
        """
        self._closing = asyncio.Event()
        settled = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(self._keep(settled), name=f"resource {self.name}")
        self._keeper = keeper
        try:
            await asyncio.wait({settled}, timeout=self._patience)
            if not settled.done():
                log.warning("resource is slow to open", resource=self.name, waited_seconds=self._patience)
                if self.required:
                    await asyncio.wait({settled})
        except asyncio.CancelledError:
            await _give_up(keeper)
            raise
        if settled.done():
            settled.result()

    async def close(self) -> None:
        """Close the resource; what its context manager raises is raised here."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        self._closing.set()
        if self.available:
            await keeper
        else:
            await _give_up(keeper)  # it is in the middle of an attempt or of a wait

    async def _keep(self, settled: "asyncio.Future[None]") -> None:
        failures = 0
        while True:
            try:
                async with self._manage() as value:
                    self._opened(value, settled)
                    failures = 0
                    await self._closing.wait()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                self.error = error
                if self._closing.is_set():
                    raise
                if self.required:
                    self._lost(error, settled)
                    return
                failures += 1
            else:
                return
            finally:
                self._value = _ABSENT
            delay = self._backoff.delay(failures, self._chance())
            log.warning(
                "resource unavailable",
                resource=self.name,
                error=f"{type(self.error).__name__}: {self.error}",
                failures=failures,
                retry_in_seconds=round(delay, 3),
            )
            if not settled.done():
                settled.set_result(None)
            await self._sleep(delay)

    def _opened(self, value: T, settled: "asyncio.Future[None]") -> None:
        self._value = value
        if settled.done():
            log.info("resource available", resource=self.name)
        else:
            log.debug("resource opened", resource=self.name)
            settled.set_result(None)
        self.error = None

    def _lost(self, error: BaseException, settled: "asyncio.Future[None]") -> None:
        if settled.done():
            log.error("resource failed while it was open", resource=self.name, exc_info=error)
        else:
            settled.set_exception(error)


async def _give_up(keeper: "asyncio.Task[None]") -> None:
    keeper.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeper
