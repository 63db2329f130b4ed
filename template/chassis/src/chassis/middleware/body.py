"""The limit on the size of a request's body."""

from starlette.types import Message, Receive

from chassis.errors import ContentTooLarge

__all__ = ["limited", "too_large"]


def too_large(most: int) -> ContentTooLarge:
    """Return the error for a body over the limit; the connection is closed, since its rest is not read."""
    return ContentTooLarge(f"The body is larger than {most} bytes.", headers={"Connection": "close"})


def limited(receive: Receive, most: int) -> Receive:
    """Count a body whose length was not declared; ``ContentTooLarge`` is raised where it passes ``most``."""
    total = 0

    async def receive_counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise too_large(most)
        return message

    return receive_counted
