"""What the request layer reads of a request before anything else happens: one pass over its headers."""

import re
from typing import Final

from starlette.types import Scope

from chassis.context import new_request_id

__all__ = ["length_of", "read_arrival", "request_id_of", "user_agent_of"]

_READ: Final = frozenset(
    {
        b"host",
        b"origin",
        b"user-agent",
        b"x-request-id",
        b"content-length",
        b"traceparent",
        b"tracestate",
    }
)
# Anything else could forge a log line or a header, or fill both: such an id is replaced, not cleaned.
_ACCEPTABLE_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,127}")
_LONGEST_AGENT: Final = 512
_LONGEST_LENGTH: Final = 18  # digits; Python refuses to read 4,301 of them


def read_arrival(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers that the layer needs, by name.

    Lines of one name are joined, as RFC 9110, 5.3, has it. So two hosts are no host, two request ids
    none and two lengths none: whoever reads only the first or the last would see another one.
    """
    # A dict, and each value looked at when it is asked for: 4 thousand instructions less than an object.
    arrival: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            arrival[name] = value if name not in arrival else arrival[name] + b"," + value
    return arrival


def request_id_of(given: bytes) -> str:
    """Return the id that the client sent if it is well formed, else a new one."""
    return given.decode("ascii") if _ACCEPTABLE_ID.fullmatch(given) else new_request_id()


def length_of(given: bytes) -> int | None:
    """Return the length of the body that the client declared; None if it is no number.

    Of one with more than 18 digits the first 19 are returned: more than any limit, for any body.
    """
    if not given.isdigit():
        return None
    if len(given) > _LONGEST_LENGTH:
        given = given.lstrip(b"0")[: _LONGEST_LENGTH + 1] or b"0"
    return int(given)


def user_agent_of(arrival: dict[bytes, bytes]) -> str:
    """Return what the client calls itself, at most 512 characters; empty if it says nothing."""
    agent = arrival.get(b"user-agent", b"")
    if len(agent) > _LONGEST_AGENT:
        agent = agent[:_LONGEST_AGENT]
        # The last word may be half a secret, which no rule knows.
        agent = agent.rpartition(b" ")[0] or agent
    return agent.decode("latin-1")
