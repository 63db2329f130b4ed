"""A client of an application that runs in the test's own process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chassis.testing.lifespan import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from httpx2 import AsyncClient
    from starlette.types import ASGIApp

__all__ = ["connect"]

BASE_URL = "http://testserver"


@asynccontextmanager
async def connect(app: ASGIApp, *, lifespan: bool = True) -> AsyncIterator[AsyncClient]:
    """Run the application, its lifespan included, and give a client of it.

    A crash of the application is a 500 here, as it is for its real clients; its traceback is in the log.
    ``lifespan=False`` is for a second client of an application that already runs.
    """
    from httpx2 import ASGITransport, AsyncClient

    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url=BASE_URL) as client:
        if lifespan:
            async with running(app):
                yield client
        else:
            yield client
