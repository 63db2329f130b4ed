"""How many requests a client may send.

- ``RateLimitSettings``: the default quota and the exceptions from it
- ``Quota``, ``Decision``: what is allowed, and what came of one request
- ``RateLimiter``: the protocol of a store; ``ImmediateRateLimiter`` that of one that need not be waited for
- ``MemoryRateLimiter`` counts in this process
- ``FailOpen``: keeps a broken store from refusing requests
- ``Limits``: which request counts against which quota; ``rate_limit`` marks an endpoint
- ``client_key``, ``by_address``: what a client is
"""

from chassis.ratelimit.fail_open import FailOpen
from chassis.ratelimit.keys import Key, by_address, client_key
from chassis.ratelimit.limits import Limits, rate_limit
from chassis.ratelimit.memory import MemoryRateLimiter
from chassis.ratelimit.quota import Decision, ImmediateRateLimiter, Quota, RateLimiter
from chassis.ratelimit.settings import RateLimitSettings

__all__ = [
    "Decision",
    "FailOpen",
    "ImmediateRateLimiter",
    "Key",
    "Limits",
    "MemoryRateLimiter",
    "Quota",
    "RateLimitSettings",
    "RateLimiter",
    "by_address",
    "client_key",
    "rate_limit",
]
