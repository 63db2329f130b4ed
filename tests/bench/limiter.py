"""One decision of the rate limiter in memory: ``python tests/bench/limiter.py``."""

import sys
from itertools import count

import budgets
from chassis.ratelimit import MemoryRateLimiter, Quota
from figures import Figure
from timing import microseconds

MANY_KEYS = 1_000_000
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

    for name in names:
        limiter.hit_now(name, quota)
    numbers = count()
    found = microseconds(lambda: limiter.hit_now(names[next(numbers) * _STRIDE % keys], quota))
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
