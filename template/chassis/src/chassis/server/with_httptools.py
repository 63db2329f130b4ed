"""uvicorn's protocol with httptools' parser, and what that parser leaves open.

It keeps all that comes, and copies a header that comes in pieces at each of them: one client could fill the memory and
hold the event loop for minutes. So there is a bound.

Its trailers (fields behind a chunked body) are dropped, for uvicorn would add them to the headers, past a proxy that
removes some.

Where a request offers an upgrade, it takes it for granted: it drops the body, or reads it as the next request. So a
request whose offer is not taken is read again without it.
"""

from http import HTTPStatus
from typing import Any

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chassis.server.refusal import LARGEST_HEAD, NOT_HTTP, TOO_LARGE, refuse
from chassis.server.upgrade import is_handshake, without_upgrade

__all__ = ["BoundedProtocol"]


class BoundedProtocol(HttpToolsProtocol):
    """Counts the bytes that come without completing a head or bringing a part of a body."""

    deaf = False
    """Whether nothing is read any more: the connection ends with the answers that are due."""
    _got_on = False
    _kept = 0
    _large = False
    _declined = False

    @override
    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        self._unset_keepalive_if_required()
        self._got_on = False
        self._large = self._kept + len(data) > LARGEST_HEAD
        self._read(data)
        if self._got_on:
            self._kept = 0
            return
        self._kept += len(data)
        if self._kept > LARGEST_HEAD:
            self._refuse_large()

    def _read(self, data: bytes) -> None:
        # A piece may hold thousands of requests, each with an offer: no copy of the rest, and no recursion.
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._declined:
                    self._upgrade()
                    return
                rest = rest[upgrade.args[0] :]
                self._begin_again()
            except httptools.HttpParserError:
                if self._large and self._head_size() > LARGEST_HEAD:
                    self._refuse_large()
                else:
                    self.logger.warning("Invalid HTTP request received.")
                    refuse(self, HTTPStatus.BAD_REQUEST, NOT_HTTP)
                return
            else:
                return

    def _begin_again(self) -> None:
        """Read the head again without what it offers."""
        self._declined = False
        version = self.parser.get_http_version()
        head = without_upgrade(self.scope["method"], self.url, version, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(head)

    def _upgrade(self) -> None:
        if self.scope["method"] == "CONNECT":
            # What follows is meant for somebody else.
            self.cycle.keep_alive = False
            self.deaf = True
        else:
            self.handle_websocket_upgrade()

    @override
    def _should_upgrade(self) -> bool:
        before: Any = self.cycle  # None until there was one
        idle = before is None or before.response_complete
        version = self.parser.get_http_version()
        return (
            super()._should_upgrade() and idle and is_handshake(self.scope["method"], version, self.headers)
        )

    @override
    def on_headers_complete(self) -> None:
        self._got_on = True
        if self._large and self._head_size() > LARGEST_HEAD:
            raise ValueError(TOO_LARGE)
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
            self._declined = self.scope["method"] != "CONNECT" and not self._should_upgrade()
            if not self._declined:
                super().on_headers_complete()
            return
        super().on_headers_complete()
        self.headers = []  # what follows are trailers

    @override
    def on_body(self, body: bytes) -> None:
        self._got_on = True
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        if not self._declined:
            super().on_message_complete()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    def _refuse_large(self) -> None:
        if not self.transport.is_closing():
            self.logger.warning("The head of a request is too large.")
            refuse(self, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LARGE)
