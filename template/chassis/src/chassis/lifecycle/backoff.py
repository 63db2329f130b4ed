"""How long to wait before the next attempt."""

from typing import NamedTuple

__all__ = ["Backoff"]


class Backoff(NamedTuple):
    """Exponential back-off with equal jitter: half of each wait is fixed, half is random.

    The fixed half keeps a failing task from spinning, the random half keeps replicas from retrying together.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first: float = 0.5
    """Longest wait in seconds after the first failure; doubled by each further one."""
    longest: float = 60.0
    """Longest wait in seconds after any failure."""

    def delay(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after a number of failures in a row; ``chance`` is in [0, 1)."""
        doublings = min(max(failures - 1, 0), 32)
        return min(self.longest, self.first * 2.0**doublings) * (1 + chance) / 2
