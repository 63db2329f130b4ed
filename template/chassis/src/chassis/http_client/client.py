"""The client for one upstream: each call is bounded, counted, logged, and retried only where that is safe.

A call raises the errors of ``chassis.errors`` that ``chassis.http_client.outcome`` lists; an endpoint that
lets them pass answers its own client correctly.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack

from chassis import context, tracing
from chassis.errors import BadGateway
from chassis.http_client import body
from chassis.http_client.breaker import CircuitBreaker, CircuitOpen, CircuitState
from chassis.http_client.meter import Meter
from chassis.http_client.outcome import Outcome, from_error, from_response, timed_out, too_large
from chassis.http_client.retries import RetryBudget, backoff
from chassis.logging import log_api_call

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from httpx2 import AsyncBaseTransport, Auth, Request, Response

    from chassis.http_client.settings import HttpClientSettings
    from chassis.metrics import Metrics

__all__ = ["HttpClient", "RequestOptions"]

# RFC 9110, section 9.2.2: sending one of these twice has the effect of sending it once.
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

CANCELLED = Outcome("cancelled", target_failed=None)

# RFC 3986, section 5.2.4; "%2e" is another way to write a dot. After "?" or "#" there is no path any more.
DOT_SEGMENT = re.compile(r"(?:[^?#]*/)?(?:\.|%2[eE]){1,2}(?:[/?#]|\Z)")


class RequestOptions(TypedDict, total=False):
    """What a call may say besides its method and URL."""

    params: Mapping[str, Any]
    headers: Mapping[str, str]
    json: Any
    content: Any
    data: Mapping[str, Any]
    files: Any
    auth: Auth | tuple[str, str]
    deadline: float
    """Seconds this call may take in all; else the ``deadline`` of the settings."""
    idempotent: bool
    """Whether it may be sent twice; else by its method, or by an ``Idempotency-Key`` header."""
    return_errors: bool
    """Return a final answer of 429 or 5xx instead of raising its error."""


class Clock(Protocol):
    """Seconds that only move forward, as ``time.monotonic``."""

    def __call__(self) -> float: ...


class HttpClient:
    """A pooled client for one upstream, called ``target`` in metrics, logs and errors.

    ``base_url`` is the only origin that may be called, if it is given. ``headers`` and ``auth`` go with each
    call. ``propagate=False`` keeps request id and trace context inside, for an upstream outside the company.
    Redirects are not followed and cookies are not kept, since callers of many users share the client.
    Use it on one event loop, and ``close`` it there.
    """

    def __init__(
        self,
        settings: HttpClientSettings,
        *,
        target: str,
        base_url: str = "",
        metrics: Metrics | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth | tuple[str, str] | None = None,
        propagate: bool = True,
        verify: ssl.SSLContext | bool = True,
        transport: AsyncBaseTransport | None = None,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        # Both take long to import, and a service may have no client at all.
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpx2

        self.target = target
        self._settings = settings
        self._propagate = propagate
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._meter = Meter(target, metrics)
        self._budget = RetryBudget(ratio=settings.retry_budget, burst=settings.retry_burst)
        self.breaker = CircuitBreaker(
            target,
            failures=settings.breaker_failures,
            failure_rate=settings.breaker_failure_rate,
            minimum_calls=settings.breaker_minimum_calls,
            window=settings.breaker_window,
            open_seconds=settings.breaker_open_seconds,
            probes=settings.breaker_probes,
            clock=clock,
            on_change=self._meter.circuit,
        )
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            headers=headers,
            auth=auth,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            timeout=httpx2.Timeout(
                connect=settings.connect_timeout,
                read=settings.read_timeout,
                write=settings.write_timeout,
                pool=settings.pool_timeout,
            ),
            limits=httpx2.Limits(
                max_connections=settings.max_connections,
                max_keepalive_connections=settings.max_idle_connections,
                keepalive_expiry=settings.idle_seconds,
            ),
            trust_env=settings.trust_env,
            transport=transport,
            verify=verify,
        )
        self._origin = self._client.base_url.origin if base_url else None

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Make one call and return the answer, its body read.

        Raises ``BadGateway``, ``GatewayTimeout``, ``Unavailable`` or its subclass ``CircuitOpen``. An answer
        below 500 other than 429 is returned, whatever it is. With a base URL, a URL of another origin is a
        ``ValueError``, and so is one with ``.`` or ``..`` as a segment of its path.
        """
        return await self._call(method, url, options, read=True)

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Make a GET call; see ``request``."""
        return await self._call("GET", url, options, read=True)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Make a POST call; see ``request``. It is not retried unless it says that it is idempotent."""
        return await self._call("POST", url, options, read=True)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Make a PUT call; see ``request``."""
        return await self._call("PUT", url, options, read=True)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Make a PATCH call; see ``request``. It is not retried unless it says that it is idempotent."""
        return await self._call("PATCH", url, options, read=True)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Make a DELETE call; see ``request``."""
        return await self._call("DELETE", url, options, read=True)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[Response]:
        """Make a call and read its body piece by piece inside the block.

        Deadline, retries and breaker end with the headers; the body is bounded by the read timeout alone, and
        its size by nothing. What breaks while it is read raises as ``request`` does.
        """
        response = await self._call(method, url, options, read=False)
        try:
            yield response
        except Exception as error:
            outcome = from_error(self.target, error)
            if outcome is None or outcome.error is None:
                raise
            raise outcome.error from error
        finally:
            await response.aclose()

    def probe(self, path: str = "/health/live") -> Callable[[], Awaitable[str]]:
        """Return a probe for a ``HealthCheck``: one GET, past the breaker and not retried.

        It returns the state of the circuit, and raises ``BadGateway`` or ``GatewayTimeout`` when the upstream
        cannot be reached or answers 5xx.
        """

        async def run() -> str:
            request = self._client.build_request("GET", path)
            outcome = await self._send(request, {}, read=True)
            if outcome.error is not None:
                raise outcome.error from outcome.cause
            return f"circuit {self.breaker.state.name.lower()}"

        return run

    async def close(self) -> None:
        """Close every connection. Calls after it raise ``RuntimeError``."""
        await self._client.aclose()

    async def _call(self, method: str, url: str, options: RequestOptions, *, read: bool) -> Response:
        request = self._build(method.upper(), url, options)
        started = self._clock()
        give_up_at = started + options.get("deadline", self._settings.deadline)
        retryable = self._may_repeat(request, options)
        self._budget.record_call()
        attempts = 0
        outcome = CANCELLED
        try:
            while True:
                attempts += 1
                outcome = await self._attempt(request, options, give_up_at - self._clock(), read=read)
                wait = self._wait(outcome, attempts, give_up_at) if retryable else None
                if wait is None:
                    break
                self._meter.retried()
                await self._sleep(wait)
        except Exception as mistake:
            outcome = Outcome("error", cause=mistake, target_failed=None)
            raise
        finally:
            self._log(request, outcome, attempts, self._clock() - started)
        if outcome.response is not None and (outcome.error is None or options.get("return_errors", False)):
            return outcome.response
        raise outcome.error or BadGateway() from outcome.cause

    def _build(self, method: str, url: str, options: RequestOptions) -> Request:
        request = self._client.build_request(
            method,
            url,
            params=options.get("params"),
            headers=options.get("headers"),
            json=options.get("json"),
            content=options.get("content"),
            data=options.get("data"),
            files=options.get("files"),
        )
        if self._origin is not None:
            if request.url.origin != self._origin:
                raise ValueError(
                    f"a call to '{self.target}' leaves its base URL: give a path, not another origin"
                )
            if DOT_SEGMENT.match(url):
                raise ValueError(
                    f"a call to '{self.target}' may leave its base URL: no segment of its path can be . or .."
                )
        if self._propagate:
            request_id = context.request_id()
            if request_id is not None:
                request.headers.setdefault("X-Request-ID", request_id)
            tracing.inject(request.headers)
        return request

    async def _attempt(
        self, request: Request, options: RequestOptions, remaining: float, *, read: bool
    ) -> Outcome:
        """Make one attempt inside the breaker, within the remaining seconds, and count it."""
        try:
            permit = self.breaker.permit()
        except CircuitOpen as refusal:
            self._meter.refused(request.method)
            return Outcome("circuit_open", refusal, target_failed=None)
        outcome = CANCELLED
        started = self._clock()
        with permit:
            try:
                async with asyncio.timeout(remaining):
                    outcome = await self._send(request, options, read=read)
            except TimeoutError as late:
                outcome = timed_out(self.target, late)
            except Exception:
                outcome = Outcome("error")
                permit.ignored()
                raise
            finally:
                self._meter.attempt(request.method, outcome.status, self._clock() - started)
            if outcome.target_failed is None:
                permit.ignored()
            elif outcome.target_failed:
                permit.failed()
        return outcome

    async def _send(self, request: Request, options: RequestOptions, *, read: bool) -> Outcome:
        """Send it once. Afterwards the connection is in the pool again, unless ``read`` is False."""
        from httpx2 import USE_CLIENT_DEFAULT

        try:
            auth = options.get("auth", USE_CLIENT_DEFAULT)
            response = await self._client.send(request, stream=True, auth=auth)
            outcome = from_response(self.target, response)
            if outcome.error is None and not read:
                return outcome
            try:
                limit = self._settings.max_response_bytes
                whole = await body.read(response, limit)
            finally:
                await response.aclose()
        except Exception as error:
            failure = from_error(self.target, error)
            if failure is None:
                raise
            return failure
        return too_large(self.target, limit) if whole is None else replace(outcome, response=whole)

    def _wait(self, outcome: Outcome, attempts: int, give_up_at: float) -> float | None:
        """Return the seconds to wait before another attempt, or None when this one was the last."""
        settings = self._settings
        if (
            not outcome.retryable
            or attempts > settings.retries
            or self.breaker.state is not CircuitState.CLOSED
        ):
            return None
        wait = backoff(
            attempts, initial=settings.backoff_initial, longest=settings.backoff_max, jitter=self._jitter
        )
        if outcome.retry_after is not None:
            if outcome.retry_after > settings.retry_after_max:
                return None
            wait = max(wait, outcome.retry_after)
        if self._clock() + wait >= give_up_at or not self._budget.take():
            return None
        return wait

    @staticmethod
    def _may_repeat(request: Request, options: RequestOptions) -> bool:
        from httpx2 import ByteStream

        if not isinstance(request.stream, ByteStream):
            return False  # a streamed body is gone once it was sent
        idempotent = request.method in IDEMPOTENT_METHODS or "idempotency-key" in request.headers
        return options.get("idempotent", idempotent)

    def _log(self, request: Request, outcome: Outcome, attempts: int, seconds: float) -> None:
        """Log the call as one line, whatever its attempts; its query, headers and body are left out."""
        url = request.url.copy_with(query=None, fragment=None, userinfo=b"")
        log_api_call(
            self.target,
            method=request.method,
            url=str(url),
            duration_seconds=seconds,
            status=None if outcome.response is None else outcome.response.status_code,
            error=outcome.cause or (outcome.error if outcome.response is None else None),
            outcome=outcome.status,
            attempts=attempts,
        )
