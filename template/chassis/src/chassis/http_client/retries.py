"""When to try again: back-off with full jitter, ``Retry-After``, and a budget that an outage cannot exceed.

The waiting is small arithmetic, written here because the loop around it also asks the deadline, the circuit
breaker, the budget and the response's ``Retry-After``, and runs on an injected clock. ``stamina`` retries on
exceptions alone, waits on the real clock, and counts in prometheus-client's global registry.

Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
Retry budget: gRPC proposal A6, https://github.com/grpc/proposal/blob/master/A6-client-retries.md
"""

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["RetryBudget", "backoff", "parse_retry_after"]

LONGEST_RETRY_AFTER = 86_400.0
DELAY_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


def backoff(
    retry: int, *, initial: float, longest: float, jitter: Callable[[], float] = random.random
) -> float:
    """Return the seconds to wait before the ``retry``-th retry, counted from 1.

    Evenly spread between 0 and ``initial * 2 ** (retry - 1)``, which ``longest`` bounds: clients that failed
    together do not come back together.
    """
    # The exponent is bounded, so that no number of retries overflows a float.
    return min(longest, initial * 2.0 ** min(retry - 1, 60)) * jitter()


def parse_retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` field asks to wait, between 0 and one day, or None.

    Understands both forms of RFC 9110, section 10.2.3, and answers None for anything else.
    """
    if value is None:
        return None
    value = value.strip()
    if DELAY_SECONDS.fullmatch(value):
        return min(float(value), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


class RetryBudget:
    """Allows retries in proportion to calls, so that an upstream in trouble is not hit harder for it.

    Each call pays ``ratio`` into an account that holds ``burst`` at most and starts full; each retry takes 1.
    In the long run there are at most ``ratio`` retries a call.
    """

    def __init__(self, *, ratio: float, burst: int) -> None:
        self._ratio = ratio
        self._burst = float(burst)
        self._balance = float(burst)

    def record_call(self) -> None:
        """Pay in for one call."""
        self._balance = min(self._burst, self._balance + self._ratio)

    def take(self) -> bool:
        """Take one retry; False when the account does not hold it."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
