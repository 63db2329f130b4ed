"""Whose cancellation an error is."""

import asyncio

__all__ = ["is_cancelled"]


def is_cancelled(error: BaseException) -> bool:
    """Tell whether the running task itself is being cancelled.

    When only something that it awaited was, the error is a failure like any other.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)
