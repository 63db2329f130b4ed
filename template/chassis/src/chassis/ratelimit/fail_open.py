"""A rate limiter that cannot answer must not take the service down with it."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from chassis.ratelimit.quota import Decision, ImmediateRateLimiter, Quota, RateLimiter
from chassis.structured import structlog

__all__ = ["WARN_EVERY", "FailOpen"]

WARN_EVERY: Final = 60.0
"""Seconds between two warnings about the same broken store."""


class FailOpen(RateLimiter):
    """Allows every request that the limiter behind it fails to decide about.

    A failure is an exception, or no answer within ``timeout`` seconds; a limiter in memory is not timed.
    Each one calls ``on_failure`` with the exception. One warning is logged in ``WARN_EVERY`` seconds and
    says how many failures it stands for.

    ``hit_now`` decides without waiting; it is None where the limiter has to be waited for.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        *,
        on_failure: Callable[[Exception], object] = lambda _: None,
        timeout: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter = limiter
        self._on_failure = on_failure
        self._timeout = timeout
        self.hit_now: Callable[[str, Quota], Decision] | None = None
        if isinstance(limiter, ImmediateRateLimiter):
            self._decide = limiter.hit_now
            self.hit_now = self._hit_now
        self._clock = clock
        self._silent_until = float("-inf")
        self._failures = 0
        self._log = structlog.get_logger("chassis.ratelimit")

    @override
    async def hit(self, key: str, quota: Quota) -> Decision:
        if self.hit_now is not None:
            return self.hit_now(key, quota)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._limiter.hit(key, quota)
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the request is served
            return self._allowed(quota, error)

    def _hit_now(self, key: str, quota: Quota) -> Decision:
        try:
            return self._decide(key, quota)
        except Exception as error:  # noqa: BLE001 - as above
            return self._allowed(quota, error)

    def _allowed(self, quota: Quota, error: Exception) -> Decision:
        self._failures += 1
        self._on_failure(error)
        now = self._clock()
        if now >= self._silent_until:
            self._silent_until = now + WARN_EVERY
            self._log.warning(
                "rate limiter failed, requests are not limited",
                failures=self._failures,
                error=f"{type(error).__name__}: {error}",
            )
            self._failures = 0
        return Decision(True, quota.requests, quota.requests, 0, 0)
