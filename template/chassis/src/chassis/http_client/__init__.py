"""The client for other services: pooled, bounded in time, careful with retries, guarded by a circuit breaker.

- ``client``: ``HttpClient``, what a service calls
- ``settings``: ``HttpClientSettings``, times, pool, retries and thresholds
- ``breaker``: ``CircuitBreaker``, also usable around calls that are not HTTP
- ``retries``: back-off, ``Retry-After`` and the retry budget
- ``outcome``: what one attempt came to, and the error it is for the caller

All but the settings is imported when it is first asked for: many services call nobody.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from chassis.http_client.settings import HttpClientSettings

if TYPE_CHECKING:
    from chassis.http_client.breaker import CircuitBreaker, CircuitOpen, CircuitState, Permit
    from chassis.http_client.client import HttpClient, RequestOptions
    from chassis.http_client.retries import RetryBudget, backoff, parse_retry_after

__all__ = [
    "CircuitBreaker",
    "CircuitOpen",
    "CircuitState",
    "HttpClient",
    "HttpClientSettings",
    "Permit",
    "RequestOptions",
    "RetryBudget",
    "backoff",
    "parse_retry_after",
]

_LATER = {
    "CircuitBreaker": "breaker",
    "CircuitOpen": "breaker",
    "CircuitState": "breaker",
    "HttpClient": "client",
    "Permit": "breaker",
    "RequestOptions": "client",
    "RetryBudget": "retries",
    "backoff": "retries",
    "parse_retry_after": "retries",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
