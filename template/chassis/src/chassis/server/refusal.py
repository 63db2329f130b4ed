"""The answer to bytes that are no request: a problem like every other, and the end of the connection."""

from http import HTTPStatus
from typing import Any, Final

from chassis.errors import PROBLEM_MEDIA_TYPE, for_status, problem_from
from chassis.security import SecurityHeaders, SecuritySettings

__all__ = ["LARGEST_HEAD", "NOT_HTTP", "TOO_LARGE", "refusal", "refuse"]

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request line and headers."""

NOT_HTTP: Final = "This is not HTTP as the server can read it."
TOO_LARGE: Final = f"A request line and its headers may have {LARGEST_HEAD} bytes."


def refusal(status: HTTPStatus, detail: str) -> bytes:
    """Return the whole response, head and body (RFC 9457).

    No application has seen the request, so the security headers are the default ones.
    """
    body = problem_from(for_status(status)(detail)).to_bytes()
    headers = (
        (b"content-type", PROBLEM_MEDIA_TYPE.encode("ascii")),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *SecurityHeaders(SecuritySettings()).headers_for("http"),
    )
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode("ascii"), lines, body)


def refuse(connection: Any, status: HTTPStatus, detail: str) -> None:
    """Answer what cannot be read, and end the connection. Answers that are due to earlier requests come first."""
    connection.deaf = True
    cycle = connection.cycle
    if cycle is not None and not cycle.response_complete:
        if not cycle.more_body:
            cycle.keep_alive = False  # it is whole: the connection ends with its answer
            return
        if cycle.response_started or getattr(connection, "pipeline", ()):
            connection.transport.close()  # in the middle of an answer nothing else can be said
            return
    connection.transport.write(refusal(status, detail))
    connection.transport.close()
