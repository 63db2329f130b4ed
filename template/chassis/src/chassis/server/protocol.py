"""uvicorn's HTTP protocol, with a bound on what it keeps of a request before the application sees it."""

from typing import TYPE_CHECKING, Final

from typing_extensions import override

if TYPE_CHECKING:
    import asyncio

__all__ = ["LARGEST_HEAD", "bounded"]

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request line and headers. One that comes in a single piece may be as large as that piece."""

_REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


def bounded(protocol: "type[asyncio.Protocol]") -> "type[asyncio.Protocol]":
    """Return the protocol with such a bound; h11's has one already.

    The parser of httptools keeps all that comes, and copies a header that comes in pieces at each of them:
    one client could fill the memory and hold the event loop for minutes. Its trailers (fields behind a
    chunked body) are dropped, for uvicorn would add them to the headers, past a proxy that removes some.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    if issubclass(protocol, H11Protocol):
        return protocol
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
                self.transport.write(_REFUSAL)
                self.transport.close()

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

    return BoundedProtocol
