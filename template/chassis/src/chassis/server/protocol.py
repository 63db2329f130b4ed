"""uvicorn's HTTP protocol, with a bound on what it keeps of a request before the application sees it.

What it refuses it answers with a problem, as the application does.
"""

from typing import TYPE_CHECKING

from chassis.server.refusal import LARGEST_HEAD

if TYPE_CHECKING:
    import asyncio

__all__ = ["LARGEST_HEAD", "bounded"]


def bounded(protocol: "type[asyncio.Protocol]") -> "type[asyncio.Protocol]":
    """Return the protocol with such a bound and with its refusals as problems.

    The parser that uvicorn does not take is not imported. Raises ``TypeError`` for a protocol that is not known.
    """
    match protocol.__module__.rpartition(".")[2]:
        case "httptools_impl":
            from chassis.server.with_httptools import BoundedProtocol

            return BoundedProtocol
        case "h11_impl":
            from chassis.server.with_h11 import RefusingProtocol

            return RefusingProtocol
        case _:
            raise TypeError(
                f"{protocol.__module__} of uvicorn has no bound here: known are httptools and h11"
            )
