"""The session of a request, as a FastAPI dependency.

    @router.post("/items")
    async def create(item: ItemIn, session: Session) -> Item: ...

One session serves a request. It takes a connection with its first statement. When the endpoint has returned
and its response is built, the session commits and gives the connection back; only then is the response sent.
So a client never hears of a success that was not committed, and a slow client holds no connection. If the
endpoint raises (an ``HTTPException`` too) or the request is cancelled, everything is rolled back.

An endpoint that streams its response, and a background task, run after that: they open a session of their own
with ``Database.session()``.

Source: https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/#early-exit-and-scope
"""

from collections.abc import AsyncIterator
from typing import Annotated, TypeAlias

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bundle import Environment
from chassis.bundles.database.bundle import Database

__all__ = ["Session", "request_session"]


async def request_session(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """Yield the session of this request. Raises ``LookupError`` if the service has no ``Database`` bundle."""
    environment: Environment = connection.app.environment
    async with environment.get(Database).session() as session:
        yield session


Session: TypeAlias = Annotated[AsyncSession, Depends(request_session, scope="function")]
