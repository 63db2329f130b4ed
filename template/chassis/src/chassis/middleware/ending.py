"""How an application can end a request other than by returning."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.types import Receive, Scope

__all__ = ["PASSING", "is_given_up", "require_departure"]

PASSING: Final = (KeyboardInterrupt, GeneratorExit)
"""What is not for a request to answer. Whatever else it raises, the client gets an answer: a task that it awaited
may have been cancelled, and a library written in Rust may have panicked, which is no ``Exception`` either."""


async def require_departure(scope: Scope, receive: Receive) -> None:
    """Do nothing if the client has left, so that nobody needs an answer; else raise. It does not wait."""
    if not await Request(scope, receive).is_disconnected():
        raise RuntimeError("the application returned without an answer")


def is_given_up(crash: BaseException) -> bool:
    """Tell whether it is no crash: the server cancelled the request itself, and waits for its end."""
    task = asyncio.current_task()
    return isinstance(crash, asyncio.CancelledError) and task is not None and task.cancelling() > 0
