"""The answer to bytes that are no request: a problem like every other, and the end of the connection."""

from http import HTTPStatus

from chassis.errors import PROBLEM_MEDIA_TYPE, for_status, problem_from
from chassis.security import SecurityHeaders, SecuritySettings

__all__ = ["refusal"]


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
