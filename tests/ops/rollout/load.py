"""Constant load: clients that each send at their own pace, over TLS, and count what did not come back well.

HTTP/1.1 is written by hand, so that nothing repeats a request behind the test's back. The one repetition is the one
that RFC 9112 section 9.5 describes: an idempotent request on a connection that the other side closed while it was idle.
It is counted. A request that changes something is sent once, on a connection of its own.
"""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator

REQUEST = b"GET /items?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b'{"name":"Desk lamp"}'
CHANGE = (
    b"POST /items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
)
# Each client is far below the gateway's limits of a client.
PER_SECOND = 25.0
CHANGES_EVERY = 5

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Load:
    """What the clients saw."""

    def __init__(self, port: int, verify: ssl.SSLContext, clients: int) -> None:
        self._port = port
        self._verify = verify
        self._clients = clients
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self.repeated = 0

    @property
    def total(self) -> int:
        """How many requests came to an end."""
        return sum(self.statuses.values()) + len(self.failures)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Send while the block runs."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._client(f"127.0.0.{number + 10}"))
            try:
                yield self
            finally:
                self._stopping.set()

    async def reach(self, total: int) -> None:
        """Wait until so many requests came to an end."""
        while self.total < total:
            self._ended.clear()
            await self._ended.wait()

    async def _client(self, address: str) -> None:
        idle: Connection | None = None
        loop = asyncio.get_running_loop()
        due = loop.time()
        number = 0
        while not self._stopping.is_set():
            number += 1
            try:
                if number % CHANGES_EVERY:
                    idle = await self._read(address, idle)
                else:
                    await self._change(address)
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(repr(error))
                idle = None
            self._ended.set()
            # A client that fell behind does not catch up: the load stays what it is.
            due = max(due + 1 / PER_SECOND, loop.time())
            await asyncio.sleep(due - loop.time())
        await close(idle)

    async def _connect(self, address: str) -> Connection:
        return await asyncio.open_connection(
            "127.0.0.1",
            self._port,
            ssl=self._verify,
            server_hostname="localhost",
            local_addr=(address, 0),
            ssl_shutdown_timeout=1,
        )

    async def _change(self, address: str) -> None:
        connection = await self._connect(address)
        try:
            await self._exchange(connection, CHANGE)
        finally:
            await close(connection)

    async def _read(self, address: str, idle: Connection | None) -> Connection | None:
        if idle and idle[0].at_eof():
            await close(idle)
            idle = None
        if idle:
            try:
                return await self._keep(idle)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                await close(idle)
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise
                self.repeated += 1
        return await self._keep(await self._connect(address))

    async def _keep(self, connection: Connection) -> Connection | None:
        try:
            if await self._exchange(connection, REQUEST):
                return connection
        except BaseException:
            await close(connection)
            raise
        await close(connection)
        return None

    async def _exchange(self, connection: Connection, request: bytes) -> bool:
        """Send one request and count its answer; returns whether the connection may be used again."""
        reader, writer = connection
        writer.write(request)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            await reader.readexactly(int(headers["content-length"]))
        self.statuses[int(lines[0].split(" ")[1])] += 1
        return headers.get("connection") != "close"


async def close(connection: Connection | None) -> None:
    """Close a connection and wait until nothing of it is left."""
    if connection is not None:
        connection[1].close()
        with contextlib.suppress(OSError, TimeoutError):
            await connection[1].wait_closed()
