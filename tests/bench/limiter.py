"""One decision of the rate limiter in memory: ``python tests/bench/limiter.py``."""

import asyncio
import sys

import budgets
from chassis.ratelimit import MemoryRateLimiter, Quota
from figures import Figure
from timing import microseconds_of

MANY_KEYS = 1_000_000
DECISIONS = 100_000
_STRIDE = 7919  # a prime: the keys are met in no order


def main() -> int:
    """Measure and print."""
    for figure in measure():
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure with one key, and with a million that are all in use."""
    return [_figure(1), _figure(MANY_KEYS)]


def _figure(keys: int) -> Figure:
    limiter = MemoryRateLimiter(max_keys=2 * MANY_KEYS)
    quota = Quota(1_000_000, 3600)
    names = [f"203.0.{number >> 8}.{number & 255}" for number in range(keys)]

    async def fill() -> None:
        for name in names:
            await limiter.hit(name, quota)

    asyncio.run(fill())
    found = microseconds_of(
        lambda number: limiter.hit(names[number * _STRIDE % keys], quota), number=DECISIONS
    )
    return Figure(
        measure="rate limiter, one decision",
        subject=f"{keys:,} keys",
        value=found.middle,
        unit="us",
        low=found.low,
        high=found.high,
        budget=budgets.LIMITER_US,
    )


if __name__ == "__main__":
    sys.exit(main())
