"""The request layer: everything that is done to every request, in one place.

It is pure ASGI and works around any ASGI application. A response never leaves without it: it is the
outermost layer, outside the framework's own error handling. Around FastAPI it can be the only one (``inside``).
"""

from collections.abc import Awaitable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final, Literal, NamedTuple

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis import context
from chassis.errors import BadRequest, ServiceError, TooManyRequests, Unavailable
from chassis.lifecycle import Lifecycle
from chassis.logging import AccessLog
from chassis.metrics import UNMATCHED, Metrics
from chassis.middleware.arrival import user_agent_of
from chassis.middleware.body import too_large
from chassis.middleware.ending import PASSING, is_given_up, require_departure
from chassis.middleware.exchange import Exchange, Header
from chassis.middleware.framework import Inside, has_files
from chassis.middleware.problems import CRASH, error_from, is_departure
from chassis.middleware.route import RouteTemplates
from chassis.middleware.websocket import Connection
from chassis.ratelimit import Decision, Limits, Quota, RateLimiter
from chassis.ratelimit.limits import EXEMPT
from chassis.security import Cors, Peer, SecurityHeaders, TrustedProxies
from chassis.structured import structlog
from chassis.tracing import Tracing

__all__ = ["Collaborators", "RequestLayer"]

SERVER_ERROR: Final = 500


class Collaborators(NamedTuple):
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
    With ``inside``, HTTP requests enter the application there, past the framework's own layers.
    """

    def __init__(
        self,
        app: ASGIApp,
        collaborators: Collaborators,
        *,
        limits: Limits | None = None,
        routes: Iterable[BaseRoute] = (),
        inside: Inside | None = None,
    ) -> None:
        self.app = app
        self.collaborators = collaborators
        self.limits = limits
        self.max_body_bytes = collaborators.max_body_bytes
        self.templates = RouteTemplates(routes)
        self._inside = inside
        self._access_log = AccessLog()
        self._log = structlog.get_logger("chassis.request")
        # What a request asks first, found once: None stands for a check that always passes.
        headers = collaborators.security_headers
        self._host_allowed = None if headers.any_host else headers.host_allowed
        self._cors = collaborators.cors if collaborators.cors.active else None
        self._decide = getattr(collaborators.limiter, "hit_now", None)
        self._requests = collaborators.metrics.requests
        self._traces = collaborators.tracing.enabled
        self._plain, self._secure = headers.headers_for("http"), headers.headers_for("https")
        self._names = frozenset(
            {
                *(b"server", b"connection", b"x-request-id", b"access-control-allow-origin"),
                *(name for name, _ in self._secure),
            }
        )
        self._drained = collaborators.lifecycle.state == "draining"
        collaborators.lifecycle.on_drain("request layer", self._note_drain)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan. Each step of a request may rely on those before it.

        1. The peer and the request id are known, the latency clock runs.
        2. The context is bound: from here on every log line carries the ids.
        3. The request is admitted or refused: nothing of the application has run yet.
        4. The application answers, or an error does in its place.
        5. The exchange is reported, if its last byte did not do so already.
        """
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        exchange = Exchange(self, scope, receive, send)
        self._requests.started()
        if self._traces:
            self._trace(exchange)
        token = context.enter(exchange.context)
        try:
            # Nothing is awaited that is known at once: a coroutine costs 700 instructions.
            admitted = self.admit(exchange)
            exchange.admitted = admitted if admitted is True else await admitted
            if exchange.admitted:
                if exchange.length is None and self.max_body_bytes:
                    # A declared length was checked on admission, and the server holds the client to it.
                    receive = exchange.receive
                if self._inside is None:
                    await self.app(scope, receive, exchange.send)
                else:
                    scope["starlette.exception_handlers"] = self._inside.handlers
                    files = scope["fastapi_middleware_astack"] = AsyncExitStack()
                    try:
                        await self._inside.entry(scope, receive, exchange.send)
                    finally:
                        if has_files(files):
                            await files.aclose()
                if not exchange.response_started:
                    await require_departure(scope, receive)
        except BaseException as error:  # noqa: BLE001 - the client gets an answer
            await self._recover(exchange, receive, error)
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

    def admit(self, exchange: Exchange) -> Literal[True] | Awaitable[bool]:
        """Let a request in, or raise the error it is refused with: host, then body size, then rate.

        What it returns is awaited, unless it is True: for a store of counts that is somewhere else, and for a
        preflight request, which is answered here. A browser asks it about the service, not about a route.
        """
        scope, arrival = exchange.scope, exchange.arrival
        if self._cors is not None:
            exchange.headers += self._cors.headers_for(arrival.get(b"origin"))
        if self._host_allowed is not None and not self._host_allowed(
            arrival.get(b"host", b""), scope["path"]
        ):
            raise BadRequest("The Host header names no host of this service.")
        if self._cors is not None and (preflight := self._cors.preflight(scope)) is not None:
            return exchange.answer(preflight.status, preflight.headers)
        if exchange.length is not None and exchange.length > self.max_body_bytes > 0:
            raise too_large(self.max_body_bytes)
        if self.limits is None or (count := self.limits.limit_for(scope, exchange.peer)) is None:
            return True
        if self._decide is None:
            return self._wait_for_decision(exchange, *count)
        key, quota = count
        return self._obey(exchange, quota, self._decide(key, quota))

    def standard_headers(self, scheme: str) -> tuple[Sequence[Header], frozenset[bytes]]:
        """Return the headers of every response, and the names by which an application may set its own."""
        headers = self._secure if scheme == "https" else self._plain
        # The flag, because asking for the state costs 700 instructions, and once drained it may run again.
        if self._drained and self.collaborators.lifecycle.state == "draining":
            # The client opens its next connection elsewhere, so that none is open when this process ends.
            return (*headers, (b"connection", b"close")), self._names
        return headers, self._names

    def log_crash(self, crash: BaseException) -> None:
        """Log what the application failed with, once, with its traceback."""
        self._log.error("request crashed", exc_info=crash)
        self.collaborators.metrics.error("request", type(crash).__name__)

    def report(self, exchange: Exchange, seconds: float) -> None:
        """Count, trace and log one finished exchange."""
        scope, status, span = exchange.scope, exchange.status, exchange.span
        method, path = scope["method"], scope["path"]
        crash = scope.get(CRASH)
        if exchange.admitted:
            route = self.templates.of(scope, exchange.root_path)
        else:
            route = self._would_be_route(exchange)
        if status >= SERVER_ERROR and crash is None:
            self.collaborators.metrics.error("request", f"http_{status}")
        trace_id = None
        if span is not None:
            trace_id = span.trace_id if span.sampled else None
            span.end(route=None if route == UNMATCHED else route, status=status, error=crash)
        self._requests.finished(method, route, status, seconds, trace_id)
        self._access_log.record(
            exchange.context,
            method,
            route,
            path,
            status,
            seconds,
            exchange.peer.address,
            user_agent_of(exchange.arrival),
            path in EXEMPT,
        )

    def _would_be_route(self, exchange: Exchange) -> str:
        """Return the template of the route that would have answered a refused request."""
        return UNMATCHED if self.limits is None else self.limits.route_of(exchange.scope)

    def _obey(self, exchange: Exchange, quota: Quota, decision: Decision) -> Literal[True]:
        """Tell the client what is left of its quota; raise if nothing is."""
        exchange.headers += Limits.headers(decision, quota)
        if not decision.allowed:
            self.collaborators.metrics.rate_limited(self._would_be_route(exchange))
            raise TooManyRequests("The rate limit is used up.", retry_after=decision.retry_after)
        return True

    async def _wait_for_decision(self, exchange: Exchange, key: str, quota: Quota) -> bool:
        return self._obey(exchange, quota, await self.collaborators.limiter.hit(key, quota))

    async def _recover(self, exchange: Exchange, receive: Receive, error: BaseException) -> None:
        """Answer in the place of an application that failed, or of a refused request."""
        if self._inside is not None and exchange.admitted and isinstance(error, Exception):
            started = exchange.response_started
            try:
                await self._inside.fail(
                    error, exchange.scope, receive, exchange.send, response_started=started
                )
            except BaseException as unexpected:  # noqa: BLE001 - as above
                error = unexpected
            else:
                return
        if isinstance(error, PASSING):
            raise error
        if isinstance(error, ServiceError | HTTPException) or is_departure(error):
            await exchange.refuse(error_from(error))
        elif is_given_up(error):
            await exchange.refuse(Unavailable("The service is stopping.", retry_after=1))
            raise error
        else:
            self.log_crash(error)
            exchange.scope[CRASH] = error
            answer = error_from(error, debug=self.collaborators.debug)
            if not exchange.response_started:
                await exchange.refuse(answer)
            elif exchange.take_back(error):
                # uvicorn takes no other start after one that it refused, and closes the connection. It is
                # reported as the 500 that it should be.
                with suppress(Exception):
                    await exchange.refuse(answer)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await Connection(self, scope, send).serve(receive)
        else:
            await self.app(scope, receive, send)

    def _trace(self, exchange: Exchange) -> None:
        scope, peer = exchange.scope, exchange.peer
        span = exchange.span = self.collaborators.tracing.start_request(
            scope["method"], scope["path"], exchange.arrival, peer.scheme, peer.address
        )
        exchange.context["trace_id"] = span.trace_id
        exchange.context["span_id"] = span.span_id

    def _note_drain(self) -> None:
        self._drained = True
