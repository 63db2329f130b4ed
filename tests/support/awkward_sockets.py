"""WebSockets that end in every way."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.exceptions import WebSocketException
from fastapi.websockets import WebSocket

__all__ = ["add_sockets"]


def add_sockets(app: FastAPI, resource: Callable[..., Any]) -> None:
    """Add them; one uses ``resource``, a dependency with an exit."""
    router = APIRouter()

    @router.websocket("/socket/echo/{number}")
    async def echo(socket: WebSocket, number: int) -> None:
        await socket.accept(headers=[(b"x-own", b"1")])
        await socket.send_text(f"{number} {await socket.receive_text()}")
        await socket.close(4001, "enough")

    @router.websocket("/socket/listen")
    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.receive_text()

    @router.websocket("/socket/closed")
    async def closed(socket: WebSocket) -> None:
        await socket.close(1008)

    @router.websocket("/socket/resource")
    async def uses(socket: WebSocket, _: Annotated[str, Depends(resource)]) -> None:
        await socket.accept()
        raise ValueError("in a socket")

    for name, error, accepts in (
        ("policy", WebSocketException(1008, "not you"), False),
        ("policy-later", WebSocketException(3000, "not any more"), True),
        ("http", HTTPException(403, "denied", headers={"x-why": "because"}), False),
        ("value", ValueError("early"), False),
        ("value-later", ValueError("late"), True),
    ):
        router.add_api_websocket_route(f"/socket/{name}", _socket_that_raises(error, accepts=accepts))

    app.include_router(router)


def _socket_that_raises(error: Exception, *, accepts: bool) -> Any:
    async def endpoint(socket: WebSocket) -> None:
        if accepts:
            await socket.accept()
        raise error

    return endpoint
