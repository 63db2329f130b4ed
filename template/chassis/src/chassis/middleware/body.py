"""The limit on the size of a request's body."""

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

__all__ = ["limited", "too_large"]


CONTENT_TOO_LARGE = 413


def too_large(most: int) -> HTTPException:
    """Return the error for a body over the limit; the connection is closed, since its rest is not read.

    It is the framework's own kind: FastAPI turns any other exception of a body into a 400.
    """
    return HTTPException(
        CONTENT_TOO_LARGE, f"The body is larger than {most} bytes.", headers={"Connection": "close"}
    )


def limited(receive: Receive, most: int) -> Receive:
    """Count a body whose length was not declared; ``too_large`` is raised where it passes ``most``."""
    total = 0

    async def receive_counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise too_large(most)
        return message

    return receive_counted
