"""uvicorn's HTTP protocol, with a bound on what it keeps of a request before the application sees it.

What it refuses it answers with a problem, as the application does.
"""

import sys
from typing import TYPE_CHECKING

from chassis.server.refusal import LARGEST_HEAD

if TYPE_CHECKING:
    import asyncio

__all__ = ["LARGEST_HEAD", "bounded"]


def bounded(protocol: "type[asyncio.Protocol]") -> "type[asyncio.Protocol]":
    """Return the protocol with such a bound and with its refusals as problems.

    Neither parser is imported before it is known which one uvicorn takes.
    """
    h11 = sys.modules.get("uvicorn.protocols.http.h11_impl")
    if h11 is not None and issubclass(protocol, h11.H11Protocol):
        from chassis.server.with_h11 import RefusingProtocol

        return RefusingProtocol
    from chassis.server.with_httptools import BoundedProtocol

    return BoundedProtocol
