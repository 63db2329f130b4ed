"""The request layer: everything that is done to every request, in one place.

It is pure ASGI and works around any ASGI application. A response never leaves without it: it is the
outermost layer, outside the framework's own error handling.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis import context
from chassis.errors import BadRequest, ServiceError, TooManyRequests, Unavailable
from chassis.lifecycle import Lifecycle
from chassis.logging import AccessLog
from chassis.metrics import UNMATCHED, Metrics
from chassis.middleware.arrival import read_arrival
from chassis.middleware.body import limited, too_large
from chassis.middleware.ending import CRASHES, is_given_up
from chassis.middleware.exchange import Exchange
from chassis.middleware.problems import CRASH, error_from
from chassis.middleware.route import RouteTemplates
from chassis.middleware.websocket import Connection
from chassis.ratelimit import Limits, RateLimiter
from chassis.ratelimit.limits import EXEMPT
from chassis.security import Cors, Peer, SecurityHeaders, TrustedProxies
from chassis.tracing import Tracing

__all__ = ["Collaborators", "RequestLayer"]

SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Collaborators:
    """What the layer works with. ``max_body_bytes`` limits every request body; 0 is no limit."""

    metrics: Metrics
    tracing: Tracing
    lifecycle: Lifecycle
    proxies: TrustedProxies
    security_headers: SecurityHeaders
    cors: Cors
    limiter: RateLimiter
    max_body_bytes: int
    debug: bool = False


class RequestLayer:
    """Wraps an ASGI application.

    ``limits`` says which requests count against which quota; None limits nothing. ``routes`` are those of
    the application: they give the templates of routes that the framework does not leave in the scope.
    """

    def __init__(
        self,
        app: ASGIApp,
        collaborators: Collaborators,
        *,
        limits: Limits | None = None,
        routes: Iterable[BaseRoute] = (),
    ) -> None:
        self.app = app
        self.collaborators = collaborators
        self.limits = limits
        self.templates = RouteTemplates(routes)
        self._access_log = AccessLog()
        self._log = structlog.get_logger("chassis.request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await Connection(self, scope, send).serve(receive)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Follow one request: each step may rely on those before it.

        1. The peer and the request id are known, the latency clock runs.
        2. The context is bound: from here on every log line carries the ids.
        3. The request is admitted or refused: nothing of the application has run yet.
        4. The application answers, or an error does in its place.
        5. The exchange is reported, if its last byte did not do so already.
        """
        exchange = Exchange(self, scope, send, read_arrival(scope), self.identify(scope))
        token = context.enter(exchange.context)
        try:
            exchange.admitted = await self.admit(exchange)
            if exchange.admitted:
                await self.app(scope, self._limit_body(exchange, receive), exchange.send)
        except (ServiceError, HTTPException) as error:
            await exchange.refuse(error_from(error))
        except CRASHES as crash:
            if is_given_up(crash):
                await exchange.refuse(Unavailable("The service is stopping.", retry_after=1))
                raise
            self.log_crash(crash)
            scope[CRASH] = crash
            await exchange.refuse(error_from(crash, debug=self.collaborators.debug))
        finally:
            exchange.report()
            context.leave(token)
            if exchange.span is not None:
                exchange.span.detach()

    def identify(self, scope: Scope) -> Peer:
        """Find the client behind trusted proxies, and let the application see it as its peer too."""
        peer = self.collaborators.proxies.resolve(scope)
        client = scope.get("client")
        if client is not None and client[0] != peer.address:
            scope["client"] = (peer.address, 0)
        scope["scheme"] = peer.scheme
        return peer

    async def admit(self, exchange: Exchange) -> bool:
        """Let a request in, or raise the error it is refused with: host, then body size, then rate.

        False when the layer answered itself: a browser's preflight request asks about the service, not it.
        """
        collaborators, arrival = self.collaborators, exchange.arrival
        if not collaborators.security_headers.host_allowed(arrival.host, exchange.scope["path"]):
            raise BadRequest("The Host header names no host of this service.")
        if (preflight := collaborators.cors.preflight(exchange.scope)) is not None:
            await exchange.answer(preflight.status, preflight.headers)
            return False
        most = collaborators.max_body_bytes
        if most and arrival.content_length is not None and arrival.content_length > most:
            raise too_large(most)
        limit = None if self.limits is None else self.limits.limit_for(exchange.scope, exchange.peer)
        if self.limits is None or limit is None:
            return True
        decision = await collaborators.limiter.hit(limit.key, limit.quota)
        exchange.headers += self.limits.headers(decision, limit.quota)
        if not decision.allowed:
            collaborators.metrics.rate_limited(limit.route)
            raise TooManyRequests("The rate limit is used up.", retry_after=decision.retry_after)
        return True

    def standard_headers(self, exchange: Exchange) -> Iterable[tuple[bytes, bytes]]:
        """Return the headers of every response that the application did not set itself."""
        headers = self.collaborators.security_headers.headers_for(exchange.peer.scheme)
        if self.collaborators.lifecycle.state == "draining":
            # The client opens its next connection elsewhere, so that none is open when this process ends.
            return (*headers, (b"connection", b"close"))
        return headers

    def log_crash(self, crash: BaseException) -> None:
        """Log what the application failed with, once, with its traceback."""
        self._log.error("request crashed", exc_info=crash)
        self.collaborators.metrics.error("request", type(crash).__name__)

    def route_of(self, exchange: Exchange) -> str:
        """Return the template of the route that answered, or that would have answered a refused request."""
        if exchange.admitted or self.limits is None:
            return self.templates.of(exchange.scope, exchange.root_path)
        return self.limits.route_of(exchange.scope)

    def report(self, exchange: Exchange, *, route: str, seconds: float, crash: BaseException | None) -> None:
        """Count, trace and log one finished exchange."""
        method, status = exchange.scope["method"], exchange.status
        span = exchange.span
        if crash is None and status >= SERVER_ERROR:
            self.collaborators.metrics.error("request", f"http_{status}")
        self.collaborators.metrics.requests.finished(
            method, route, status, seconds, span.trace_id if span is not None and span.sampled else None
        )
        if span is not None:
            span.end(route=None if route == UNMATCHED else route, status=status, error=crash)
        self._access_log.record(
            method=method,
            route=route,
            path=exchange.scope["path"],
            status=status,
            duration_seconds=seconds,
            client=exchange.peer.address,
            user_agent=exchange.arrival.user_agent,
            quiet=exchange.scope["path"] in EXEMPT,
        )

    def _limit_body(self, exchange: Exchange, receive: Receive) -> Receive:
        # A declared length was checked on admission, and the server holds the client to it.
        most = self.collaborators.max_body_bytes
        if most and exchange.arrival.content_length is None:
            return limited(receive, most)
        return receive
