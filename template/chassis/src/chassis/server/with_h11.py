"""uvicorn's protocol with h11's parser, which bounds what it keeps by itself."""

from http import HTTPStatus

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from chassis.server.refusal import NOT_HTTP, refuse
from chassis.server.upgrade import is_handshake

__all__ = ["RefusingProtocol"]


class RefusingProtocol(H11Protocol):
    """Answers a problem to what is not HTTP, and takes no upgrade but a WebSocket handshake."""

    @override
    def send_400_response(self, msg: str) -> None:
        refuse(self, HTTPStatus.BAD_REQUEST, NOT_HTTP)

    @override
    def _should_upgrade(self) -> bool:
        scope = self.scope
        return super()._should_upgrade() and is_handshake(
            scope["method"], scope["http_version"], self.headers
        )
