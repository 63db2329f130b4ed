"""Ask an application in process, message by message, and write down all that came of it."""

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any

from awkward_errors import NOTES
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocketDisconnect

__all__ = ["CRASHES", "Ask", "Outcome", "conversation", "note_crash", "outcome", "scope_of"]

CRASHES: list[str] = []
"""What the application under test logged as crashes, in the words of ``note_crash``."""


@dataclass(frozen=True)
class Ask:
    """A request.

    ``leaves`` is when the client goes: ``"before"`` its body is read, ``"after"`` that, or when it got so many
    messages. A server tells of it by a message, with ``spec`` 2.4 by an error in ``send``.
    """

    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: tuple[bytes, ...] = (b"",)
    leaves: str | int | None = None
    app: str = "usual"
    spec: str = "2.3"
    root_path: str = ""

    def __str__(self) -> str:
        """Name a test."""
        unusual = [self.app] if self.app != "usual" else []
        unusual += [str(value) for value in (self.leaves, self.root_path) if value]
        return " ".join([self.method, self.path, *unusual])


@dataclass
class Outcome:
    """What came of it. ``raised`` is what the server saw or, of the chassis, what is logged as a crash."""

    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False
    raised: str | None = None
    notes: list[str] = field(default_factory=list)


def note_crash(crash: BaseException) -> None:
    """Add to ``CRASHES``; not the exception itself, which would keep its generators alive."""
    CRASHES.append(f"{type(crash).__name__}: {crash}")


async def outcome(app: ASGIApp, ask: Ask) -> Outcome:
    """Send a request and return what came of it."""
    NOTES.clear()
    CRASHES.clear()
    client = _Client(ask)
    try:
        await app(scope_of(ask), client.receive, client.send)
    except Exception as error:  # noqa: BLE001 - as a server does
        note_crash(error)
    if ask.leaves is not None:
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)  # the loop closes the generator that was left behind
    client.found.raised = "; ".join(CRASHES) or None
    client.found.notes = list(NOTES)
    return client.found


async def conversation(app: ASGIApp, ask: Ask) -> tuple[list[Message], str | None, list[str]]:
    """Connect, say hello and leave. Returns what the application sent, what it raised and what it noted."""
    NOTES.clear()
    CRASHES.clear()
    sent: list[Message] = []
    said: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]

    async def receive() -> Message:
        return said.pop(0) if said else {"type": "websocket.disconnect", "code": 1001}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**scope_of(ask), "type": "websocket", "scheme": "ws", "subprotocols": []}
    scope["extensions"] = {"websocket.http.response": {}}
    try:
        await app(scope, receive, send)
    except WebSocketDisconnect:
        pass
    except Exception as error:  # noqa: BLE001 - as a server does
        note_crash(error)
    return sent, "; ".join(CRASHES) or None, list(NOTES)


class _Client:
    """The server and the client of one request."""

    def __init__(self, ask: Ask) -> None:
        self.found = Outcome()
        self._ask = ask
        self._parts = list(ask.body)
        self._sent = 0
        self._progress = asyncio.Event()

    async def receive(self) -> Message:
        leaves = self._ask.leaves
        if self._parts and leaves != "before":
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        while leaves is None or (isinstance(leaves, int) and self._sent < leaves):
            self._progress.clear()
            await self._progress.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        leaves, found = self._ask.leaves, self.found
        if isinstance(leaves, int) and self._sent >= leaves and self._ask.spec == "2.4":
            raise OSError("the client is gone")
        self._sent += 1
        self._progress.set()
        if message["type"] == "http.response.start":
            assert found.status is None, "a second response was started"
            found.status = message["status"]
            found.headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            found.body += message.get("body", b"")
            found.complete = not message.get("more_body", False)
        await asyncio.sleep(0)


def scope_of(ask: Ask) -> dict[str, Any]:
    """Return the scope that a server makes of it."""
    path, _, query = ask.path.partition("?")
    headers = ask.headers if "host" in dict(ask.headers) else (("host", "service.test"), *ask.headers)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": ask.spec},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.root_path + path,
        "raw_path": (ask.root_path + path).encode(),
        "query_string": query.encode(),
        "root_path": ask.root_path,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
