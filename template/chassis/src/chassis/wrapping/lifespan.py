"""Starting and stopping the application inside, whether or not it knows how.

Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message

from chassis.structured import structlog

__all__ = ["ApplicationError", "running"]

log = structlog.get_logger("chassis.wrapping")


class ApplicationError(RuntimeError):
    """The application inside says that it did not start or stop; the message is its own."""


@asynccontextmanager
async def running(app: ASGIApp, state: dict[str, Any]) -> AsyncIterator[None]:
    """Run the lifespan of an application for the length of the block. Raises ``ApplicationError``.

    An application that fails or ends before it answers has no lifespan, as ASGI defines it: it is served
    without. ``state`` is what requests will find in their scope.
    """
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message | None] = asyncio.Queue()

    async def live() -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
        try:
            await app(scope, to_app.get, from_app.put)
        except Exception as error:  # noqa: BLE001 - what it means depends on what was said before
            log.debug("lifespan ended by an error", error=f"{type(error).__name__}: {error}")
        finally:
            from_app.put_nowait(None)

    # A task of its own, so that what the application opens is closed by the task that opened it.
    task = asyncio.create_task(live(), name="lifespan of the application")
    try:
        await to_app.put({"type": "lifespan.startup"})
        answer = await from_app.get()
        _raise_if_failed(answer)
        if answer is None:
            log.info("the application has no lifespan")
        yield
        if answer is not None:
            await to_app.put({"type": "lifespan.shutdown"})
            _raise_if_failed(await from_app.get())
    except BaseException:
        task.cancel()
        raise
    finally:
        await asyncio.wait({task})


def _raise_if_failed(answer: Message | None) -> None:
    if answer is not None and answer["type"].endswith(".failed"):
        raise ApplicationError(answer.get("message") or answer["type"])
