"""One WebSocket connection, as the request layer sees it."""

from time import perf_counter
from typing import TYPE_CHECKING

from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from chassis import context
from chassis.errors import BadRequest, ServiceError, TooManyRequests
from chassis.middleware.arrival import read_arrival, request_id_of
from chassis.middleware.ending import PASSING, is_given_up
from chassis.middleware.exchange import NEVER_ITS
from chassis.middleware.problems import error_from, problem_response
from chassis.structured import structlog

if TYPE_CHECKING:
    from chassis.middleware.layer import RequestLayer

__all__ = ["Connection"]

# RFC 6455, 7.4.1
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011


class Connection:
    """Admits the handshake as a request is admitted, binds the context, and reports the connection's end."""

    def __init__(self, layer: "RequestLayer", scope: Scope, send: Send) -> None:
        self._layer = layer
        self._scope = scope
        self._send = send
        self._answered = False
        self._closed = False
        self._arrival = read_arrival(scope)
        self._request_id = request_id_of(self._arrival.get(b"x-request-id", b""))
        self._peer = layer.identify(scope)
        self._log = structlog.get_logger("chassis.websocket")

    async def serve(self, receive: Receive) -> None:
        """Serve the connection until either side closes it; a crash closes it too."""
        started_at = perf_counter()
        root_path = self._scope.get("root_path", "")
        token = context.enter({"request_id": self._request_id})
        try:
            refusal = await self._refusal()
            if refusal is None:
                await self._layer.app(self._scope, receive, self.send)
            else:
                await receive()
                await self._refuse(refusal)
        except WebSocketDisconnect:
            pass  # The client has gone, or the server closes: an application need not expect that.
        except BaseException as crash:
            if isinstance(crash, PASSING) or is_given_up(crash):
                raise
            self._layer.log_crash(crash)
            if self._answered:
                await self._close(INTERNAL_ERROR)
            else:
                await self._refuse(error_from(crash, debug=self._layer.collaborators.debug), INTERNAL_ERROR)
        finally:
            self._log.info(
                "websocket",
                route=self._layer.templates.of(self._scope, root_path),
                path=self._scope["path"],
                client=self._peer.address,
                duration_ms=round((perf_counter() - started_at) * 1000, 3),
            )
            context.leave(token)

    async def send(self, message: Message) -> None:
        """Pass a message on; the answer to the handshake names the request."""
        kind = message["type"]
        if kind in {"websocket.accept", "websocket.http.response.start"}:
            own = [header for header in message.get("headers", ()) if header[0].lower() not in NEVER_ITS]
            own.append((b"x-request-id", self._request_id.encode()))
            if kind == "websocket.http.response.start":
                names = {name for name, _ in own}
                standard = self._layer.collaborators.security_headers.headers_for(self._peer.scheme)
                own.extend(header for header in standard if header[0] not in names)
                self._closed = True
            self._answered = True
            message = {**message, "headers": own}
        elif kind == "websocket.close":
            self._closed = True
        await self._send(message)

    async def _refusal(self) -> ServiceError | None:
        collaborators, limits = self._layer.collaborators, self._layer.limits
        if not collaborators.security_headers.host_allowed(
            self._arrival.get(b"host", b""), self._scope["path"]
        ):
            return BadRequest("The Host header names no host of this service.")
        if limits is None or (count := limits.limit_for(self._scope, self._peer)) is None:
            return None
        decision = await collaborators.limiter.hit(*count)
        if decision.allowed:
            return None
        collaborators.metrics.rate_limited(limits.route_of(self._scope))
        return TooManyRequests("The rate limit is used up.", retry_after=decision.retry_after)

    async def _refuse(self, error: ServiceError, code: int = POLICY_VIOLATION) -> None:
        """Answer the handshake with a problem where the server can, else close it: ASGI, Denial Response."""
        if self._closed:
            return
        if "websocket.http.response" not in self._scope.get("extensions", {}):
            await self._close(code)
            return
        self._closed = True
        response = problem_response(error, self._scope)
        await self.send(
            {
                "type": "websocket.http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        await self.send({"type": "websocket.http.response.body", "body": response.body})

    async def _close(self, code: int) -> None:
        if not self._closed:
            await self.send({"type": "websocket.close", "code": code})
