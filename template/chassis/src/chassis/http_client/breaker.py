"""A circuit breaker: stop calling what does not answer, and try again with care.

Closed lets every call through and counts. It opens after too many failures in a row, or when too large a
share of the calls in a window failed. Open refuses at once, so that callers fail fast and the upstream can
recover. After a while it is half open: a few probes pass; if all succeed it closes, if one fails it opens.

M. Nygard, Release It!, 2nd edition, chapter 5. https://martinfowler.com/bliki/CircuitBreaker.html
"""

import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import ClassVar, Self

from chassis.errors import Unavailable

__all__ = ["CircuitBreaker", "CircuitOpen", "CircuitState", "Permit"]

BUCKETS = 10


class CircuitState(IntEnum):
    """The state of a circuit; the number is the value of ``service_circuit_breaker_state``."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitOpen(Unavailable):
    """The circuit to a target is open: the call was not made. ``retry_after`` is in seconds."""

    code: ClassVar[str] = "CIRCUIT_OPEN"
    title: ClassVar[str] = "Upstream unavailable"


class CircuitBreaker:
    """Guards the calls to one target.

    ``permit`` raises ``CircuitOpen`` or returns a ``Permit`` to hold during the call::

        with breaker.permit():
            await call()

    All times are seconds of ``clock``. Not for several threads: use it on one event loop.
    """

    def __init__(
        self,
        target: str,
        *,
        failures: int = 5,
        failure_rate: float = 0.5,
        minimum_calls: int = 20,
        window: float = 30.0,
        open_seconds: float = 15.0,
        probes: int = 1,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[CircuitState], None] | None = None,
    ) -> None:
        self.target = target
        self._failures_in_a_row = failures
        self._failure_rate = failure_rate
        self._minimum_calls = minimum_calls
        self._open_seconds = open_seconds
        self._probes = probes
        self._clock = clock
        self._on_change = on_change
        self._window = _Window(window, clock)
        self._state = CircuitState.CLOSED
        self._epoch = 0
        self._consecutive = 0
        self._opened_at = 0.0
        self._probes_running = 0
        self._probes_succeeded = 0
        self._announce()

    @property
    def state(self) -> CircuitState:
        """The state now; an open circuit whose time is over is half open."""
        if self._state is CircuitState.OPEN and self._remaining() <= 0:
            return CircuitState.HALF_OPEN
        return self._state

    def permit(self) -> "Permit":
        """Allow one call. Raises ``CircuitOpen`` when the circuit is open or all its probes are under way."""
        if self.state is CircuitState.HALF_OPEN:
            if self._state is CircuitState.OPEN:
                self._enter(CircuitState.HALF_OPEN)
            if self._probes_running + self._probes_succeeded >= self._probes:
                raise self._refusal(1.0)
            self._probes_running += 1
        elif self._state is CircuitState.OPEN:
            raise self._refusal(self._remaining())
        return Permit(self, self._epoch)

    def settle(self, epoch: int, *, failed: bool | None) -> None:
        """Count the end of a call that began in ``epoch``; ``failed=None`` is a call that says nothing.

        Called by ``Permit``. A call that outlived the state it began in says nothing about the present one.
        """
        if epoch != self._epoch:
            return
        if self._state is CircuitState.HALF_OPEN:
            self._settle_probe(failed=failed)
        elif failed is not None:
            self._window.add(failed=failed)
            self._consecutive = self._consecutive + 1 if failed else 0
            if self._is_broken():
                self._enter(CircuitState.OPEN)

    def _settle_probe(self, *, failed: bool | None) -> None:
        self._probes_running -= 1
        if failed:
            self._enter(CircuitState.OPEN)
        elif failed is False:
            self._probes_succeeded += 1
            if self._probes_succeeded >= self._probes:
                self._enter(CircuitState.CLOSED)

    def _is_broken(self) -> bool:
        if self._consecutive >= self._failures_in_a_row:
            return True
        calls, failures = self._window.totals()
        return calls >= self._minimum_calls and failures / calls >= self._failure_rate

    def _enter(self, state: CircuitState) -> None:
        self._state = state
        self._epoch += 1
        self._consecutive = 0
        self._probes_running = 0
        self._probes_succeeded = 0
        self._window.clear()
        if state is CircuitState.OPEN:
            self._opened_at = self._clock()
        self._announce()

    def _announce(self) -> None:
        if self._on_change is not None:
            self._on_change(self._state)

    def _remaining(self) -> float:
        return self._opened_at + self._open_seconds - self._clock()

    def _refusal(self, retry_after: float) -> CircuitOpen:
        return CircuitOpen(
            f"The upstream '{self.target}' failed repeatedly and is not called for a while.",
            retry_after=retry_after,
        )


class Permit:
    """One allowed call. As a context manager it counts an ``Exception`` as failure, a clean end as success.

    A cancelled call counts as neither. ``failed``, ``succeeded`` and ``ignored`` decide earlier; the first
    word counts.
    """

    __slots__ = ("_breaker", "_epoch", "_settled")

    def __init__(self, breaker: CircuitBreaker, epoch: int) -> None:
        self._breaker = breaker
        self._epoch = epoch
        self._settled = False

    def failed(self) -> None:
        """Count the call as a failure of the target."""
        self._settle(failed=True)

    def succeeded(self) -> None:
        """Count the call as answered by the target."""
        self._settle(failed=False)

    def ignored(self) -> None:
        """Count the call as neither: it said nothing about the target."""
        self._settle(failed=None)

    def _settle(self, *, failed: bool | None) -> None:
        if not self._settled:
            self._settled = True
            self._breaker.settle(self._epoch, failed=failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            self.succeeded()
        elif isinstance(error, Exception):
            self.failed()
        else:
            self.ignored()


class _Window:
    """Calls and failures of the last seconds, in a fixed number of buckets."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._width = seconds / BUCKETS
        self._clock = clock
        self._buckets: deque[list[int]] = deque(maxlen=BUCKETS)

    def add(self, *, failed: bool) -> None:
        slot = int(self._clock() / self._width)
        if not self._buckets or self._buckets[-1][0] != slot:
            self._buckets.append([slot, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += 1
        bucket[2] += failed

    def totals(self) -> tuple[int, int]:
        oldest = int(self._clock() / self._width) - BUCKETS
        recent = [bucket for bucket in self._buckets if bucket[0] > oldest]
        return sum(bucket[1] for bucket in recent), sum(bucket[2] for bucket in recent)

    def clear(self) -> None:
        self._buckets.clear()
