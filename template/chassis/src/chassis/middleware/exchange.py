"""One request and its response, from arrival to the last byte."""

from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.types import Message, Scope, Send

from chassis.errors import ServiceError
from chassis.middleware.arrival import Arrival
from chassis.middleware.problems import CLIENT_CLOSED_REQUEST, CRASH, problem_response
from chassis.security import Peer

if TYPE_CHECKING:
    from chassis.middleware.layer import RequestLayer

__all__ = ["Exchange"]


class Exchange:
    """Follows one response and reports it once: metrics, span and access line.

    The report is made when the last byte is handed to the server, so that background tasks, which run
    after it, count neither as latency nor as a request in progress.
    """

    def __init__(self, layer: "RequestLayer", scope: Scope, send: Send, arrival: Arrival, peer: Peer) -> None:
        self.arrival = arrival
        self.peer = peer
        self.scope = scope
        self.headers = list(layer.collaborators.cors.headers_for(arrival.origin))
        self.status = CLIENT_CLOSED_REQUEST
        self.response_started = False
        self.admitted = False
        self.root_path: str = scope.get("root_path", "")
        self._layer = layer
        self._send = send
        self._reported = False
        self._started_at = perf_counter()
        collaborators = layer.collaborators
        collaborators.metrics.requests.started()
        self.span = (
            collaborators.tracing.start_request(
                method=scope["method"],
                path=scope["path"],
                headers=scope["headers"],
                scheme=peer.scheme,
                client=peer.address,
            )
            if collaborators.tracing.enabled
            else None
        )

    @property
    def context(self) -> dict[str, object]:
        """The fields that every log line of this request carries."""
        if self.span is None:
            return {"request_id": self.arrival.request_id}
        return {
            "request_id": self.arrival.request_id,
            "trace_id": self.span.trace_id,
            "span_id": self.span.span_id,
        }

    async def send(self, message: Message) -> None:
        """Pass a response on: headers added to its start, the report made at its end."""
        kind = message["type"]
        if kind == "http.response.start":
            self.response_started = True
            self.status = message["status"]
            message = {**message, "headers": self._complete(message.get("headers", ()))}
        elif kind == "http.response.body" and not message.get("more_body", False):
            self.report()
        await self._send(message)

    async def refuse(self, error: ServiceError) -> None:
        """Answer with a problem, unless a response is already on its way."""
        if not self.response_started:
            response = problem_response(error, self.scope)
            await response(self.scope, _no_body, self.send)

    async def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Answer with a status and headers alone, which include what CORS grants."""
        self.headers = []
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await self.send({"type": "http.response.body", "body": b""})

    def report(self) -> None:
        """Report the exchange; only the first call counts."""
        if self._reported:
            return
        self._reported = True
        self._layer.report(
            self,
            route=self._layer.route_of(self),
            seconds=perf_counter() - self._started_at,
            crash=self.scope.get(CRASH),
        )

    def _complete(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Add the standard's headers. What the application set itself wins; it never names the server."""
        own = [header for header in headers if header[0] != b"server"]
        names = {name for name, _ in own}
        own.extend(header for header in self._layer.standard_headers(self) if header[0] not in names)
        own.append((b"x-request-id", self.arrival.request_id.encode()))
        own.extend(self.headers)
        return own


async def _no_body() -> Message:
    return {"type": "http.disconnect"}
