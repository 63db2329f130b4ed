"""The client for other services: pooled, bounded in time, careful with retries, guarded by a circuit breaker.

- ``client``: ``HttpClient``, what a service calls
- ``settings``: ``HttpClientSettings``, times, pool, retries and thresholds
- ``breaker``: ``CircuitBreaker``, also usable around calls that are not HTTP
- ``retries``: back-off, ``Retry-After`` and the retry budget
- ``outcome``: what one attempt came to, and the error it is for the caller
"""

from chassis.http_client.breaker import CircuitBreaker, CircuitOpen, CircuitState, Permit
from chassis.http_client.client import HttpClient, RequestOptions
from chassis.http_client.retries import RetryBudget, backoff, parse_retry_after
from chassis.http_client.settings import HttpClientSettings

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
