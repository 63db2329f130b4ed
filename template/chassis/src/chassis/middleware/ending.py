"""How an application can end a request other than by returning."""

import asyncio
from typing import Final

__all__ = ["CRASHES", "is_given_up"]

CRASHES: Final = (Exception, SystemExit, asyncio.CancelledError)
"""Whatever of these it raises, the client gets an answer. A task that it awaited may have been cancelled."""


def is_given_up(crash: BaseException) -> bool:
    """Tell whether it is no crash: the server cancelled the request itself, and waits for its end."""
    task = asyncio.current_task()
    return isinstance(crash, asyncio.CancelledError) and task is not None and task.cancelling() > 0
