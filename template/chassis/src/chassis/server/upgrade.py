"""The upgrade that a request may offer: a WebSocket handshake is taken, any other is as if it were not there.

RFC 9110, 7.8 and RFC 6455, 4.2.1.
"""

from collections.abc import Sequence

__all__ = ["is_handshake", "without_upgrade"]

Header = tuple[bytes, bytes]


def is_handshake(method: str, version: str, headers: Sequence[Header]) -> bool:
    """Tell whether a request with ``Upgrade: websocket`` opens a WebSocket: a GET with a key and without a body.

    The names of headers are in lower case.
    """
    told = dict(headers)
    has_body = b"transfer-encoding" in told or told.get(b"content-length", b"0") != b"0"
    return method == "GET" and version == "1.1" and b"sec-websocket-key" in told and not has_body


def without_upgrade(method: str, target: bytes, version: str, headers: Sequence[Header]) -> bytes:
    """Return the head of the same request with nothing offered."""
    lines = [b"%b %b HTTP/%b\r\n" % (method.encode("ascii"), target, version.encode("ascii"))]
    lines += [b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade"]
    return b"".join(lines) + b"\r\n"
