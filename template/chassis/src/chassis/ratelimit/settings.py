"""What can be set about rate limits."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from chassis.pattern import pattern
from chassis.ratelimit.quota import LONGEST_WINDOW, MOST_REQUESTS, UNLIMITED, Quota
from chassis.settings import Group, Variable

__all__ = ["RateLimitSettings"]

_ROUTE: Final = pattern(r"(?:[A-Z]+ )?/\S*")


def _routes(value: dict[str, str]) -> dict[str, str]:
    for route, quota in value.items():
        if not _ROUTE.fullmatch(route):
            raise ValueError(f"must hold routes: {route!r} is none; write GET /items/{{item_id}} or /items")
        if quota != UNLIMITED:
            try:
                Quota.parse(quota)
            except ValueError as error:
                raise ValueError(f"must hold quotas: {error}") from None
    return value


class RateLimitSettings(Group, prefix="RATE_LIMIT_"):
    """How many requests a client may send."""

    enabled: Annotated[bool, Variable("RATE_LIMITING_ENABLED")] = Field(
        True, description="Whether requests are limited."
    )
    requests: int = Field(
        100, ge=1, le=MOST_REQUESTS, description="Requests a client may send in a window; as many at once."
    )
    window: int = Field(60, ge=1, le=LONGEST_WINDOW, description="Length of the window in seconds.")
    routes: Annotated[dict[str, str], AfterValidator(_routes)] = Field(
        default_factory=dict,
        description=(
            'Quotas of single routes, as JSON: {"POST /orders": "10/60", "/exports": "5/hour"}, or '
            '"unlimited". A route given here has a count of its own.'
        ),
    )
    max_keys: int = Field(
        100_000,
        ge=1,
        description="Clients remembered for each quota, about 250 bytes each, when counted in memory.",
    )
