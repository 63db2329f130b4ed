"""Reading a response body without letting it grow beyond a limit."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx2 import Response

__all__ = ["read"]


async def read(response: Response, limit: int) -> Response | None:
    """Read the body and return the response with it, or None when it is longer than ``limit`` bytes.

    The limit counts decompressed bytes, so that a small compressed body cannot fill memory; 0 is no limit. A
    body that had to be counted comes in a new response without ``Content-Encoding``, as it is decoded.
    """
    if response.is_closed:
        # Made with its body, as the answers of httpx2's mock transport are.
        return None if limit and len(response.content) > limit else response
    declared = response.headers.get("content-length", "")
    encoded = "content-encoding" in response.headers
    if not limit or (not encoded and declared.isdecimal() and int(declared) <= limit):
        await response.aread()
        return response
    chunks: list[bytes] = []
    size = 0
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size > limit:
                return None
            chunks.append(piece)
    return _with_content(response, b"".join(chunks))


def _with_content(response: Response, content: bytes) -> Response:
    from httpx2 import Response as NewResponse

    headers = response.headers.copy()
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        headers.pop(name, None)
    whole = NewResponse(
        response.status_code,
        headers=headers,
        content=content,
        request=response.request,
        extensions=response.extensions,
        default_encoding=response.default_encoding,
    )
    whole.elapsed = response.elapsed
    whole.next_request = response.next_request
    return whole
