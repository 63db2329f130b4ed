"""What one attempt of a call came to: how it counts, whether it may be tried again, which error it is.

    connection refused, reset, broken or unreadable   502  BadGateway
    no answer in time, or the deadline passed         504  GatewayTimeout
    the client's own pool is exhausted                503  Unavailable
    answered 429 or 503                               503  Unavailable, with the upstream's Retry-After
    answered 504                                      504  GatewayTimeout
    answered 5xx otherwise                            502  BadGateway

The details name the target and the status, and nothing else that the upstream said.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from chassis.errors import BadGateway, GatewayTimeout, ServiceError, Unavailable
from chassis.http_client.retries import parse_retry_after

if TYPE_CHECKING:
    from httpx2 import Response

__all__ = ["Outcome", "from_error", "from_response", "timed_out", "too_large"]

WORTH_RETRYING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt. ``status`` is the label it is counted under; ``target_failed`` is what the breaker counts.

    ``target_failed`` is None when the attempt says nothing about the target.
    """

    status: str
    error: ServiceError | None = None
    response: Response | None = None
    cause: Exception | None = None
    retryable: bool = False
    retry_after: float | None = None
    target_failed: bool | None = False


def from_response(target: str, response: Response) -> Outcome:
    """Judge an answer. Anything below 500 but 429 is for the caller to understand."""
    status = response.status_code
    retry_after = parse_retry_after(response.headers.get("retry-after"))
    error: ServiceError | None = None
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        error = Unavailable(f"The upstream '{target}' answered {status}.", retry_after=retry_after)
    elif status == HTTPStatus.GATEWAY_TIMEOUT:
        error = GatewayTimeout(f"The upstream '{target}' answered {status}.")
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = BadGateway(f"The upstream '{target}' answered {status}.")
    return Outcome(
        str(status),
        error,
        response,
        retryable=status in WORTH_RETRYING,
        retry_after=retry_after,
        target_failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def from_error(target: str, cause: Exception) -> Outcome | None:
    """Judge a failed attempt; None for what is a mistake in the caller, such as a malformed header."""
    import httpx2

    if isinstance(cause, httpx2.PoolTimeout):
        error: ServiceError = Unavailable(f"Too many calls to '{target}' are under way.", retry_after=1)
        return Outcome("pool_timeout", error, cause=cause, target_failed=None)
    if isinstance(cause, httpx2.TimeoutException):
        return timed_out(target, cause)
    if isinstance(cause, httpx2.DecodingError):
        error = BadGateway(f"The upstream '{target}' sent a body that cannot be decoded.")
        return Outcome("undecodable", error, cause=cause, target_failed=True)
    if isinstance(cause, (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError)):
        connecting = isinstance(cause, (httpx2.ConnectError, httpx2.ProxyError))
        reason = "cannot be reached" if connecting else "broke off the connection"
        error = BadGateway(f"The upstream '{target}' {reason}.")
        status = "connect_error" if connecting else "connection_error"
        return Outcome(status, error, cause=cause, retryable=True, target_failed=True)
    return None


def timed_out(target: str, cause: Exception) -> Outcome:
    """Judge an attempt that ran out of time."""
    error = GatewayTimeout(f"The upstream '{target}' did not answer in time.")
    return Outcome("timeout", error, cause=cause, retryable=True, target_failed=True)


def too_large(target: str, limit: int) -> Outcome:
    """Judge a body that is larger than the client accepts."""
    error = BadGateway(f"The upstream '{target}' answered with more than {limit} bytes.")
    return Outcome("too_large", error, target_failed=False)
