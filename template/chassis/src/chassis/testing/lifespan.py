"""Running the lifespan of an ASGI application, as a server does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp

__all__ = ["LifespanError", "running"]


class LifespanError(RuntimeError):
    """The application did not start or did not stop; the message is its own."""


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """Start the application, and stop it at the end of the block. Raises ``LifespanError``.

    The lifespan runs in one task of its own, so that what it opens is closed by the task that opened it.
    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(_run(app, scope, to_app, from_app), name="lifespan")
    try:
        await _exchange("startup", to_app, from_app)
        try:
            yield
        finally:
            await _exchange("shutdown", to_app, from_app)
    finally:
        await task


async def _run(
    app: ASGIApp,
    scope: dict[str, Any],
    to_app: asyncio.Queue[dict[str, Any]],
    from_app: asyncio.Queue[dict[str, Any]],
) -> None:
    async def send(message: Any) -> None:
        await from_app.put(message)

    try:
        await app(scope, to_app.get, send)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it and not wait
        await from_app.put({"type": "lifespan.crashed", "message": f"{type(error).__name__}: {error}"})
    else:
        await from_app.put({"type": "lifespan.ended", "message": "the application ended its lifespan"})


async def _exchange(
    phase: str, to_app: asyncio.Queue[dict[str, Any]], from_app: asyncio.Queue[dict[str, Any]]
) -> None:
    await to_app.put({"type": f"lifespan.{phase}"})
    answer = await from_app.get()
    if answer["type"] != f"lifespan.{phase}.complete":
        raise LifespanError(f"{phase} failed: {answer.get('message') or answer['type']}")
