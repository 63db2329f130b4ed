"""A quota, the decision about one request, and the protocol of what decides."""

import re
from typing import Final, NamedTuple, Protocol, Self, runtime_checkable

__all__ = [
    "LONGEST_WINDOW",
    "MOST_REQUESTS",
    "UNLIMITED",
    "Decision",
    "ImmediateRateLimiter",
    "Quota",
    "RateLimiter",
]

MOST_REQUESTS: Final = 1_000_000_000
LONGEST_WINDOW: Final = 31 * 86_400
"""Seconds; a month."""
UNLIMITED: Final = "unlimited"

_SHAPE: Final = re.compile(r"([0-9]{1,10})\s*/\s*([0-9]{0,7})\s*([a-z]{0,7})")
_UNITS: Final = {
    "": 1,
    "s": 1,
    "second": 1,
    "m": 60,
    "minute": 60,
    "h": 3_600,
    "hour": 3_600,
    "d": 86_400,
    "day": 86_400,
}


class Quota(NamedTuple):
    """``requests`` in ``window`` seconds: as many at once, and as many in every such time on average.

    ``name`` tells quotas of the same size apart, and is told to clients.
    """

    requests: int
    window: int
    name: str = "default"

    @classmethod
    def parse(cls, text: str, *, name: str = "default") -> Self:
        """Read ``10/60``, ``10/60s``, ``10/minute`` or ``10/5m``. Raises ``ValueError``."""
        match = _SHAPE.fullmatch(text.strip().lower())
        if (
            match is None
            or not (match[2] or match[3])
            or (unit := _UNITS.get(match[3].removesuffix("s") or match[3])) is None
        ):
            raise ValueError(f"{text!r} is no quota: write requests/seconds, as in 10/60, or 10/minute")
        requests, window = int(match[1]), int(match[2] or 1) * unit
        if not 1 <= requests <= MOST_REQUESTS or not 1 <= window <= LONGEST_WINDOW:
            raise ValueError(f"{text!r} is no quota: it takes 1 request or more, in 1 second to 31 days")
        return cls(requests, window, name)


class Decision(NamedTuple):
    """What came of one request; times in whole seconds, rounded up.

    ``remaining`` requests would be allowed at this moment. After ``reset_after`` the whole quota is free
    again. After ``retry_after`` one more request is allowed; 0 when this one was.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_after: int
    retry_after: int


class RateLimiter(Protocol):
    """Counts requests of each key against a quota, wherever the counts are kept."""

    async def hit(self, key: str, quota: Quota) -> Decision:
        """Count one request and decide about it; a refused request costs nothing.

        A store that cannot answer raises; ``FailOpen`` decides what that means.
        """


@runtime_checkable
class ImmediateRateLimiter(RateLimiter, Protocol):
    """A limiter that need not wait for its store: the counts are in this process."""

    def hit_now(self, key: str, quota: Quota) -> Decision:
        """Do as ``hit`` does, without a coroutine, which takes longer than the decision."""
