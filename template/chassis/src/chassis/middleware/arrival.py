"""What the request layer reads of a request before anything else happens: one pass over its headers."""

import re
from dataclasses import dataclass

from starlette.types import Scope

from chassis.context import new_request_id

__all__ = ["Arrival", "read_arrival"]

# Anything else could forge a log line or a header, or fill both: such an id is replaced, not cleaned.
_ACCEPTABLE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,127}")
_LONGEST_AGENT = 512


@dataclass(slots=True)
class Arrival:
    """The request line and headers that the layer needs.

    ``content_length`` is None when the client did not declare one, as in a chunked body.
    """

    request_id: str
    host: bytes
    user_agent: str
    content_length: int | None
    origin: bytes | None


def read_arrival(scope: Scope) -> Arrival:
    """Read the headers once; a request id that the client sent is kept if it is well formed."""
    arrival = Arrival(request_id="", host=b"", user_agent="", content_length=None, origin=None)
    for name, value in scope["headers"]:
        if name == b"host":
            # Two of them are no host: who reads only the first or the last would see another one.
            arrival.host = value if not arrival.host else arrival.host + b"," + value
        elif name == b"origin":
            arrival.origin = value
        elif name == b"user-agent":
            arrival.user_agent = value[:_LONGEST_AGENT].decode("latin-1")
        elif name == b"x-request-id" and _ACCEPTABLE_ID.fullmatch(value):
            arrival.request_id = value.decode("ascii")
        elif name == b"content-length" and value.isdigit():
            arrival.content_length = int(value)
    if not arrival.request_id:
        arrival.request_id = new_request_id()
    return arrival
