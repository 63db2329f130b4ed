"""How long a stop may take."""

from pydantic import Field

from chassis.settings import Group

__all__ = ["LifecycleSettings"]

_DELAY = 5.0
# A worker closes its resources one after the other; the supervisor gives all of them this many times the
# limit of one before it kills the worker.
_CLOSES_WAITED_FOR = 3


class LifecycleSettings(Group, prefix=""):
    """The times of a stop, all in seconds."""

    drain_delay: float | None = Field(
        None,
        ge=0,
        le=600,
        description="Seconds between failing readiness and refusing connections, so that load balancers "
        "notice; unset: 5, in development 0.",
    )
    shutdown_timeout: float = Field(
        20.0,
        gt=0,
        le=3600,
        description="Seconds that requests in flight have to finish after the drain delay.",
    )
    close_timeout: float = Field(
        5.0,
        gt=0,
        le=600,
        description="Seconds that closing one resource may take before the next one is closed.",
    )

    def delay(self, environment: str) -> float:
        """Return the drain delay in seconds; nobody balances load in development, so there it is 0."""
        if self.drain_delay is not None:
            return self.drain_delay
        return 0.0 if environment == "development" else _DELAY

    def longest_stop(self, environment: str) -> float:
        """Return the seconds after which a stop is overdue; give an orchestrator a little more than that."""
        return self.delay(environment) + self.shutdown_timeout + _CLOSES_WAITED_FOR * self.close_timeout
