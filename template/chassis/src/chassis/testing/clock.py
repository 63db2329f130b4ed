"""A clock that stands still until the test moves it."""

import asyncio

__all__ = ["FakeClock"]


class FakeClock:
    """A monotonic clock in seconds: call it to read it and ``advance`` it.

    Its ``sleep`` takes the place of ``asyncio.sleep``.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time in seconds since no particular moment."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Raises ``ValueError`` for a negative number."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back: advance by zero or more seconds")
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Move the clock forward at once, and remember the wait in ``slept``."""
        self.advance(seconds)
        self.slept.append(seconds)
        await asyncio.sleep(0)  # other tasks run, as they do during a real wait
