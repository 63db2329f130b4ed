"""One socket, and the connections that came through it."""

import asyncio
import math
import socket
import time
from email.utils import formatdate
from typing import Any, Final, Literal, cast

from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn import Config
from uvicorn.lifespan.off import LifespanOff
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from chassis.server.protocol import LARGEST_HEAD, bounded
from chassis.server.sockets import drop_handshakes
from chassis.service_settings import ServerSettings
from chassis.structured import structlog

__all__ = ["Listener", "StartupFailed"]

log = structlog.get_logger("chassis.server")

_BACKLOG: Final = 2048  # connections that wait to be accepted; the kernel's own limit may be lower
_TICK: Final = 1.0  # seconds between updates of the Date header
_HEAD: Final = 30  # ticks in which a connection has to complete the head of a request
_POLL: Final = 0.02  # seconds between looks at the connections while they finish
_FIRST: Final = 1.0  # seconds that a new connection has to send its first request
_NEXT: Final = 0.1  # seconds that a request may be on its way on a connection that had one before
_CANCEL: Final = 1.0  # seconds that a cancelled request may take to end


class StartupFailed(Exception):  # noqa: N818 - no error of this code: the application said so, and logged why
    """The application's lifespan did not start."""


class Listener:
    """Serves an application on one socket with uvicorn's protocols, and ends without losing a request.

    ``uvicorn.Server`` closes the socket as soon as it is asked to stop. Here the steps of a stop are apart,
    so that the process can put them in order.
    """

    def __init__(
        self, app: ASGIApp, sock: socket.socket, settings: ServerSettings, *, lifespan: Literal["on", "off"]
    ) -> None:
        self._socket = sock
        self._config = Config(
            cast("Any", app),
            interface="asgi3",
            lifespan=lifespan,
            log_config=None,  # the chassis's logging is in place
            access_log=False,  # the request layer writes the access line
            proxy_headers=False,  # the request layer trusts proxies by TRUSTED_PROXIES
            server_header=False,
            workers=1,
            backlog=_BACKLOG,
            timeout_keep_alive=math.ceil(settings.keep_alive),
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
        self._state = ServerState()
        self._lifespan: _Lifespan | LifespanOff = LifespanOff(self._config)
        self._server: asyncio.Server | None = None
        self._clock: asyncio.Task[None] | None = None
        self._waited: dict[Any, int] = {}

    @property
    def address(self) -> str:
        """The URL that the socket is bound to."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def in_flight(self) -> int:
        """Number of requests that have no complete response yet."""
        return len(self._state.tasks)

    async def open(self) -> None:
        """Start the application and accept connections.

        Raises ``StartupFailed``, or ``OSError`` if the port is taken. If it is cancelled, the application
        closes what it has opened.
        """
        if not self._config.loaded:
            self._config.load()
            self._config.http_protocol_class = bounded(self._config.http_protocol_class)
        if self._config.lifespan == "on":
            self._lifespan = lifespan = _Lifespan(self._config)
            try:
                await lifespan.startup()
            except asyncio.CancelledError:
                await lifespan.cancel()
                raise
            if lifespan.should_exit:
                raise StartupFailed
        self._set_date()
        self._clock = asyncio.create_task(self._tell_time(), name="date header")
        try:
            self._socket.listen(_BACKLOG)  # uvloop would not raise what this raises
            self._server = await asyncio.get_running_loop().create_server(
                self._connect, sock=self._socket, backlog=_BACKLOG
            )
        except (OSError, asyncio.CancelledError):
            await self.close()
            raise

    async def refuse(self, *, last: bool) -> None:
        """Accept no more connections, except those that the kernel has already accepted for us.

        To close the socket alone would reset them, and their requests with them. ``last`` says that no
        process which shares the socket will go on accepting.
        """
        server, self._server = self._server, None
        if server is None:
            return
        queue = self._socket.dup()
        queue.setblocking(False)
        server.close()
        if last:
            drop_handshakes(queue)
        waiting = []
        while True:
            try:
                waiting.append(queue.accept()[0])
            except ConnectionError:  # that client has gone
                continue
            except OSError:  # the queue is empty, or this process may open no more files
                break
        queue.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._connect, connection)

    async def finish(self, limit: float) -> int:
        """Wait for the requests in flight, at most ``limit`` seconds; return how many had to be cut off.

        Connections without a request are closed, after a moment in which one that is on its way arrives.
        """
        told: set[object] = set()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                while self._state.connections or self._state.tasks:
                    waited = time.monotonic() - begun
                    for connection in list(self._state.connections):
                        idle_limit = _idle_limit(connection)
                        if idle_limit is None and connection not in told:
                            told.add(connection)  # it closes with its response
                            _end(connection)
                        elif idle_limit is not None and waited >= idle_limit:
                            _end(connection)
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            return await self._cut_off()
        return 0

    async def close(self) -> bool:
        """Stop the application; return whether it stopped without an error."""
        if self._clock is not None:
            self._clock.cancel()
        if isinstance(self._lifespan, LifespanOff):
            return True
        await self._lifespan.shutdown()
        return not self._lifespan.should_exit

    async def _cut_off(self) -> int:
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel("the shutdown timeout is over")
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL)
        left = list(self._state.connections)
        for connection in left:
            connection.transport.close()
        return max(len(tasks), len(left))

    def _connect(self) -> asyncio.Protocol:
        protocol = cast("Any", self._config.http_protocol_class)
        return cast(
            "asyncio.Protocol",
            protocol(config=self._config, server_state=self._state, app_state=self._lifespan.state),
        )

    async def _tell_time(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._set_date()
            self._close_slow()

    def _close_slow(self) -> None:
        """Close connections that keep a request waiting for its head: each of them holds an open file."""
        self._waited = {
            connection: self._waited.get(connection, 0) + 1
            for connection in self._state.connections
            if _awaits_head(connection)
        }
        for connection, ticks in self._waited.items():
            if ticks > _HEAD:
                connection.transport.close()

    def _set_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]


class _Lifespan(LifespanOn):
    """uvicorn's lifespan, whose start can be given up."""

    _task: "asyncio.Task[Any] | None" = None

    @override
    async def main(self) -> None:
        self._task = asyncio.current_task()
        await super().main()

    async def cancel(self) -> None:
        if self.startup_event.is_set():
            await self.shutdown()
        elif self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})


def _end(connection: Any) -> None:
    """Ask a connection to end. One that cannot be asked is closed: it must not keep others from finishing."""
    try:
        connection.shutdown()
    except Exception:
        log.warning("a connection did not end in order", exc_info=True)
        connection.transport.close()


def _awaits_head(connection: Any) -> bool:
    """Tell whether a connection has no request and no time limit: uvicorn limits complete pauses alone."""
    return _idle_limit(connection) is not None and connection.timeout_keep_alive_task is None


def _idle_limit(connection: Any) -> float | None:
    """Return the seconds to wait for a request on an idle connection, or None for one that is busy.

    A WebSocket is busy.
    """
    if not hasattr(connection, "cycle"):
        return None
    if connection.cycle is None:
        return _FIRST
    return _NEXT if connection.cycle.response_complete else None
