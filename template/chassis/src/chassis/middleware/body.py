"""The limit on the size of a request's body."""

from typing import Final

from starlette.exceptions import HTTPException

__all__ = ["too_large"]

CONTENT_TOO_LARGE: Final = 413


def too_large(most: int) -> HTTPException:
    """Return the error for a body over the limit; the connection is closed, since its rest is not read.

    It is the framework's own kind: FastAPI turns any other exception of a body into a 400.
    """
    return HTTPException(
        CONTENT_TOO_LARGE, f"The body is larger than {most} bytes.", headers={"Connection": "close"}
    )
