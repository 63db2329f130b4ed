"""uvicorn's HTTP protocol, with a bound on what it keeps of a request before the application sees it.

What it refuses it answers with a problem, as the application does.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from chassis.server.refusal import refusal

if TYPE_CHECKING:
    import asyncio

__all__ = ["LARGEST_HEAD", "bounded"]

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request line and headers. One that comes in a single piece may be as large as that piece."""

_NOT_HTTP: Final = "This is not HTTP as the server can read it."
_TOO_LARGE: Final = f"A request line and its headers may have {LARGEST_HEAD} bytes."


def bounded(protocol: "type[asyncio.Protocol]") -> "type[asyncio.Protocol]":
    """Return the protocol with such a bound, which h11's has already, and with its refusals as problems."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    return _h11() if issubclass(protocol, H11Protocol) else _httptools()


def _h11() -> "type[asyncio.Protocol]":
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class RefusingProtocol(H11Protocol):
        """Answers a problem to what is not HTTP."""

        @override
        def send_400_response(self, msg: str) -> None:
            _refuse(self.transport, HTTPStatus.BAD_REQUEST, _NOT_HTTP)

    return RefusingProtocol


def _httptools() -> "type[asyncio.Protocol]":
    """Return httptools' protocol with a bound.

    Its parser keeps all that comes, and copies a header that comes in pieces at each of them: one client
    could fill the memory and hold the event loop for minutes. Its trailers (fields behind a chunked body) are
    dropped, for uvicorn would add them to the headers, past a proxy that removes some.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class BoundedProtocol(HttpToolsProtocol):
        """Counts the bytes that come without completing a head or bringing a part of a body."""

        _got_on = False
        _kept = 0

        @override
        def data_received(self, data: bytes) -> None:
            self._got_on = False
            super().data_received(data)
            if self._got_on:
                self._kept = 0
                return
            self._kept += len(data)
            if self._kept > LARGEST_HEAD and not self.transport.is_closing():
                self.logger.warning("The head of a request is too large.")
                _refuse(self.transport, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LARGE)

        @override
        def on_headers_complete(self) -> None:
            self._got_on = True
            super().on_headers_complete()
            if not self.parser.should_upgrade():
                self.headers = []  # what follows are trailers

        @override
        def on_body(self, body: bytes) -> None:
            self._got_on = True
            super().on_body(body)

        @override
        def send_400_response(self, msg: str) -> None:
            _refuse(self.transport, HTTPStatus.BAD_REQUEST, _NOT_HTTP)

    return BoundedProtocol


def _refuse(transport: "asyncio.Transport", status: HTTPStatus, detail: str) -> None:
    transport.write(refusal(status, detail))
    transport.close()
