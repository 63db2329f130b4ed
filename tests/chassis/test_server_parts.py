"""The parts of the server, inside the test's process."""

import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chassis.logging import unconfigure_logging
from chassis.server import listener as listener_module
from chassis.server import main, run
from chassis.server.listener import Listener, StartupFailed
from chassis.server.protocol import bounded
from chassis.server.reloader import watched
from chassis.server.signals import Stop
from chassis.server.sockets import (
    CannotListenError,
    Sockets,
    cannot_listen,
    drop_handshakes,
    open_sockets,
)
from chassis.server.supervisor import Supervisor, _exit_text
from chassis.server.worker import THREADS_SECONDS, Worker
from chassis.service_settings import ServerSettings, ServiceSettings
from chassis.settings import Mistake, SettingsError, load

LOOPBACK = ServerSettings(host="127.0.0.1", port=0)


# -- standard streams

CLOSED = """
import os, sys
from chassis.server.command import hold_standard_streams
hold_standard_streams()
sys.stderr.write("to nobody")
os._exit(os.open(os.devnull, os.O_RDONLY))
"""


@pytest.mark.parametrize("closed", ["", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_socket_takes_the_place_of_a_standard_stream(closed):
    shell = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, CLOSED]
    assert subprocess.run(shell, check=False).returncode >= 3


# -- ports


def test_a_port_in_use_is_one_sentence(capsys):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        code = run("never:imported", ServiceSettings(server=ServerSettings(port=port)))
    assert code == 1
    assert capsys.readouterr().err == (
        f"port {port} is in use: stop the process that listens there, or set PORT\n"
    )


def test_a_management_port_in_use_closes_the_other_port_too(capsys):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        code = run("never:imported", ServiceSettings(server=ServerSettings(port=0, management_port=port)))
    assert code == 1
    assert capsys.readouterr().err == (
        f"port {port} is in use: stop the process that listens there, or set MANAGEMENT_PORT\n"
    )


def test_a_management_port_that_is_the_port_is_a_mistake():
    with pytest.raises(SettingsError) as refusal:
        load(ServiceSettings, environ={"PORT": "9000", "MANAGEMENT_PORT": "9000"})
    assert str(refusal.value).splitlines()[1:] == [
        "  MANAGEMENT_PORT must be another port than PORT, not 9000 (environment MANAGEMENT_PORT)"
    ]


def test_an_unknown_host_names_the_setting():
    with pytest.raises(CannotListenError, match="host name 'no such host' is not known here: set HOST"):
        open_sockets(ServerSettings(host="no such host", port=0))


def test_a_foreign_address_names_the_setting():
    with pytest.raises(CannotListenError, match=r"192\.0\.2\.1 is no address of this machine: set HOST"):
        open_sockets(ServerSettings(host="192.0.2.1", port=0))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            PermissionError(13, "Permission denied"),
            "port 80 needs more rights: set PORT to a port above 1023",
        ),
        (OSError(24, "Too many open files"), "cannot listen on localhost, port 80: Too many open files"),
        (OSError("odd"), "cannot listen on localhost, port 80: odd"),
    ],
)
def test_other_errors_are_one_sentence(error, sentence):
    assert str(cannot_listen(error, "localhost", 80, "PORT")) == sentence


def test_both_ports_are_opened_and_closed():
    with closing(open_sockets(ServerSettings(host="localhost", port=0))) as sockets:
        assert sockets.management is None
    sockets = open_sockets(LOOPBACK)
    both = Sockets(sockets.public, sockets.public.dup())
    both.close()
    assert both.public.fileno() == both.management.fileno() == -1


# -- settings and factories


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], str]:
    """Return a function that gives a factory a name to import it by."""

    def named(create: Callable[..., Any]) -> str:
        module = types.ModuleType("faulty")
        module.create_app = create
        monkeypatch.setitem(sys.modules, "faulty", module)
        return "faulty:create_app"

    return named


def raising(error: Exception) -> Callable[..., Any]:
    def create_app(settings: object = None) -> object:
        raise error

    return create_app


LOCAL = ServiceSettings(server=LOOPBACK)


def test_a_mistake_that_the_factory_finds_is_listed(factory, capsys):
    error = SettingsError([Mistake("SHOP_KEY", "must be set"), Mistake("SHOP_URL", "must be a URL")])
    assert run(factory(raising(error)), LOCAL) == 78
    assert (
        capsys.readouterr().err == "2 settings are wrong:\n  SHOP_KEY must be set\n  SHOP_URL must be a URL\n"
    )


def test_settings_are_read_once_and_given_to_the_factory(factory, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "0")
    read, given = [], []

    def load_once(cls):
        read.append(load(cls))
        return read[-1]

    def create_app(settings=None):
        given.append(settings)
        raise SettingsError([])

    monkeypatch.setattr("chassis.server.command.load", load_once)
    assert main(factory(create_app), ServiceSettings, []) == 78
    assert len(read) == 1
    assert given == read


def test_a_factory_that_raises_is_logged_as_everything_is(factory, capfd):
    error = ZeroDivisionError("a bug of ada@example.com")
    unconfigure_logging()
    try:
        assert run(factory(raising(error)), LOCAL.model_copy(update={"environment": "production"})) == 1
    finally:
        unconfigure_logging()
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["event"], line["level"]) == ("the service cannot be built", "critical")
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ZeroDivisionError: a bug of ad***om")


def test_a_factory_that_does_not_exist_is_one_sentence(capsys):
    assert run("no_such_module:create_app", LOCAL) == 1
    assert capsys.readouterr().err == 'Could not import module "no_such_module".\n'


def test_a_port_that_is_taken_while_the_service_starts_is_one_sentence(factory, capsys):
    sockets = open_sockets(LOOPBACK)
    host, port = sockets.public.getsockname()
    settings = ServiceSettings(server=ServerSettings(host=host, port=port))
    with closing(sockets), closing(socket.socket()) as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind((host, port))  # possible, because the other socket does not listen yet
        rival.listen()
        worker = Worker(factory(lambda _: Starlette()), settings, sockets, stop=Stop())
        assert worker.run() == 1
    assert capsys.readouterr().err.startswith(f"port {port} is in use: ")


def test_wrong_settings_are_listed_together(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("WORKERS", "set by the option")
    assert main("never:imported", ServiceSettings, ["--workers", "0"]) == 78
    message = capsys.readouterr().err
    assert message.startswith("2 settings are wrong:\n")
    assert "PORT" in message
    assert "WORKERS" in message


# -- signals


@pytest.fixture
def stop() -> Iterator[Stop]:
    with Stop().installed() as installed:
        yield installed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_loop_runs_is_remembered(stop, number):
    signal.raise_signal(number)

    async def wait() -> None:
        stop.attach(asyncio.get_running_loop())
        async with asyncio.timeout(5):
            await stop.wait_requested()

    asyncio.run(wait())
    assert not stop.forced


@pytest.mark.parametrize(
    ("numbers", "forced"),
    [
        ([signal.SIGINT, signal.SIGINT], True),
        ([signal.SIGINT, signal.SIGTERM], False),
        ([signal.SIGTERM, signal.SIGINT], False),
        ([signal.SIGTERM, signal.SIGTERM], False),
    ],
)
def test_only_a_second_interrupt_forces(stop, numbers, forced):
    for number in numbers:
        signal.raise_signal(number)
    assert stop.requested
    assert stop.forced is forced


def test_a_worker_ignores_interrupts():
    with Stop(ignore_terminal=True).installed() as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop.requested


def test_the_handlers_of_before_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with Stop().installed():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


async def test_a_signal_after_the_loop_has_closed_does_no_harm(stop):
    loop = asyncio.new_event_loop()
    stop.attach(loop)
    loop.close()
    signal.raise_signal(signal.SIGTERM)
    assert stop.requested


# -- one socket


class Site:
    """A listener with an application whose requests the test holds."""

    def __init__(self) -> None:
        self.socket = open_sockets(LOOPBACK).public
        self.arrived, self.release = asyncio.Event(), asyncio.Event()
        app = Starlette(
            routes=[
                Route("/", self.home),
                Route("/hold", self.hold),
                Route("/headers", self.headers),
                Route("/begun", self.begun, methods=["POST"]),
                WebSocketRoute("/socket", self.websocket),
            ]
        )
        self.listener = Listener(app, self.socket, LOOPBACK, lifespan="on")
        self.address: tuple[str, int] = self.socket.getsockname()

    async def home(self, request: object) -> PlainTextResponse:
        return PlainTextResponse("home")

    async def headers(self, request: Request) -> PlainTextResponse:
        await request.body()
        return PlainTextResponse(" ".join(name.decode() for name, _ in request.scope["headers"]))

    async def begun(self, request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            await request.body()

        return StreamingResponse(parts())

    async def hold(self, request: object) -> PlainTextResponse:
        self.arrived.set()
        await self.release.wait()
        return PlainTextResponse("released")

    async def websocket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: site\r\n\r\n".encode()


async def response(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Return the head and the body of one response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(line for line in head.splitlines() if line.startswith("content-length"))
    return head, (await reader.readexactly(int(length.partition(":")[2]))).decode()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    opened = Site()
    await opened.listener.open()
    async with asyncio.timeout(20):
        yield opened
    opened.release.set()
    await opened.listener.refuse(last=True)
    await opened.listener.finish(1)
    await opened.listener.close()
    opened.socket.close()


async def test_a_connection_that_the_kernel_has_accepted_is_served_after_the_refusal(site):
    client = socket.create_connection(site.address)  # no await: the loop has not seen it
    await site.listener.refuse(last=True)
    finished = asyncio.create_task(site.listener.finish(10))
    reader, writer = await asyncio.open_connection(sock=client)
    writer.write(request("/"))
    assert (await response(reader))[1] == "home"
    writer.close()
    assert await finished == 0


async def test_after_the_refusal_there_is_nobody_to_connect_to(site):
    await site.listener.refuse(last=True)
    with pytest.raises(ConnectionRefusedError):
        await site.connect()
    await site.listener.refuse(last=True)  # again: nothing happens
    assert await site.listener.finish(1) == 0


@pytest.mark.parametrize("dropped", [False, True])
def test_the_kernel_completes_handshakes_until_they_are_dropped(dropped):
    with closing(open_sockets(LOOPBACK).public) as listening, closing(socket.socket()) as client:
        listening.listen()
        listening.setblocking(False)
        client.setblocking(False)
        if dropped:
            drop_handshakes(listening)
        client.connect_ex(listening.getsockname())
        if dropped and sys.platform == "linux":
            with pytest.raises(BlockingIOError):
                listening.accept()
        else:
            listening.accept()[0].close()


async def test_a_request_in_flight_is_told_to_close_its_connection(site):
    reader, writer = await site.connect()
    writer.write(request("/hold"))
    await site.arrived.wait()
    assert site.listener.in_flight == 1
    await site.listener.refuse(last=True)
    finished = asyncio.create_task(site.listener.finish(10))
    await asyncio.sleep(0)
    site.release.set()
    head, body = await response(reader)
    assert body == "released"
    assert "connection: close" in head
    assert await finished == 0
    writer.close()


async def test_idle_connections_are_closed(site, monkeypatch):
    monkeypatch.setattr(listener_module, "_FIRST", 0.05)
    used_reader, used = await site.connect()
    used.write(request("/"))
    await response(used_reader)
    new_reader, new = await site.connect()
    await site.listener.refuse(last=True)
    assert await site.listener.finish(10) == 0
    assert await used_reader.read() == await new_reader.read() == b""
    used.close()
    new.close()


async def test_requests_that_do_not_finish_are_cut_off_and_counted(site):
    _, writer = await site.connect()
    writer.write(request("/hold"))
    await site.arrived.wait()
    await site.listener.refuse(last=True)
    assert await site.listener.finish(0.05) == 1
    assert site.listener.in_flight == 0
    writer.close()


async def test_a_websocket_is_told_that_the_service_restarts(site):
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosedError

    host, port = site.address
    async with connect(f"ws://{host}:{port}/socket", proxy=None) as websocket:
        await site.listener.refuse(last=True)
        finished = asyncio.create_task(site.listener.finish(10))
        with pytest.raises(ConnectionClosedError) as closed:
            await websocket.recv()
        assert closed.value.rcvd.code == 1012
    assert await finished == 0


async def test_the_date_goes_on_while_requests_finish(monkeypatch):
    told, ticked = [], asyncio.Event()

    def date(usegmt: bool) -> str:
        told.append(len(told))
        ticked.set()
        return f"tick {told[-1]}"

    monkeypatch.setattr(listener_module, "_TICK", 0.001)
    monkeypatch.setattr(listener_module, "formatdate", date)
    site = Site()
    await site.listener.open()
    reader, writer = await site.connect()
    await site.listener.refuse(last=True)
    finished = asyncio.create_task(site.listener.finish(10))
    refused_at = told[-1]
    ticked.clear()
    await ticked.wait()
    writer.write(request("/"))
    head, _ = await response(reader)
    assert int(head.partition("date: tick ")[2].split()[0]) > refused_at
    writer.close()
    await finished
    await site.listener.close()


@pytest.mark.parametrize("piece", [b"y" * 1000, b"x: y\r\n" * 200], ids=["one header", "many headers"])
async def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(site: Site, piece: bytes):
    reader, writer = await site.connect()
    writer.write(b"GET / HTTP/1.1\r\nhost: site\r\n" + (b"" if piece.endswith(b"\n") else b"x-header: "))
    for _ in range(64 * 1024 // len(piece) + 1):
        writer.write(piece)
        await writer.drain()
    assert await reader.readline() == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    head, body = await response(reader)
    assert "content-type: application/problem+json" in head
    assert json.loads(body)["code"] == "REQUEST_HEADER_FIELDS_TOO_LARGE"
    assert await reader.read() == b""
    writer.close()


def test_a_protocol_that_has_no_bound_is_refused() -> None:
    with pytest.raises(TypeError, match="known are httptools and h11"):
        bounded(asyncio.Protocol)


@pytest.mark.parametrize("own", [HttpToolsProtocol, H11Protocol])
@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"]
)
async def test_what_is_no_http_gets_a_problem_and_the_security_headers(own: type[Any], sent: bytes) -> None:
    config = Config(Starlette(), log_config=None)
    config.load()
    protocol: Any = bounded(own)
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )
    async with server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        head, body = await response(reader)
        assert await reader.read() == b""
        writer.close()
    assert head.startswith("HTTP/1.1 400 Bad Request\r\n")
    assert {
        "content-type: application/problem+json",
        "x-content-type-options: nosniff",
        "connection: close",
    } <= set(head.splitlines())
    problem = json.loads(body)
    assert problem["code"] == "BAD_REQUEST"
    assert "request_id" not in problem


async def test_a_large_head_and_a_large_body_pass(site: Site):
    reader, writer = await site.connect()
    head = b"GET / HTTP/1.1\r\nhost: site\r\ncontent-length: 1000000\r\nx-large: " + b"y" * 60_000
    writer.write(head)
    await writer.drain()
    writer.write(b"\r\n\r\n")
    for _ in range(1000):
        writer.write(b"z" * 1000)
        await writer.drain()
    assert (await response(reader))[1] == "home"
    writer.close()


async def test_fields_behind_a_body_are_no_headers(site: Site):
    reader, writer = await site.connect()
    writer.write(
        b"GET /headers HTTP/1.1\r\nhost: site\r\ntransfer-encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\nx-user: admin\r\n\r\n"
    )
    _, names = await response(reader)
    assert names == "host transfer-encoding"
    writer.close()


END = b"\0 nothing but the end of the connection"
CHUNKED = b"transfer-encoding: chunked\r\n"
UPGRADE = b"host: site\r\nconnection: upgrade\r\n"
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\n" + UPGRADE + b"upgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture(params=[HttpToolsProtocol, H11Protocol])
async def talk(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Send pieces to an application that tells what it got, and return all that comes back until the end."""

    async def told(asked: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{asked.method} {asked.url.path} {(await asked.body()).decode('latin-1')}")

    config = Config(
        Starlette(routes=[Route("/{rest:path}", told, methods=["GET", "POST", "DELETE"])]), log_config=None
    )
    config.load()
    protocol: Any = bounded(request.param)
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )

    async def talked(*pieces: bytes, until: bytes) -> str:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        got = b""
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if piece is not pieces[-1]:
                await asyncio.sleep(0)
        while until not in got and (more := await reader.read(65_536)):
            got += more
        writer.close()
        return got.decode()

    async with server, asyncio.timeout(20):
        yield talked
        for connection in list(state.connections):
            connection.transport.close()


@pytest.mark.parametrize("offered", [b"h2c", b"websocket", b"TLS/1.0, HTTP/1.1"])
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "in two pieces"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"content-length: 30\r\n", b"DELETE / HTTP/1.1\r\nhost: a\r\n\r\n"),
        (CHUNKED, b"4\r\nbody\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
async def test_a_body_behind_an_upgrade_that_is_not_taken_is_a_body(
    talk: Any, offered: bytes, apart: bool, framing: bytes, body: bytes
) -> None:
    head = b"POST /in HTTP/1.1\r\n" + UPGRADE + b"upgrade: " + offered + b"\r\n" + framing + b"\r\n"
    last = b"GET /last HTTP/1.1\r\nhost: site\r\nconnection: close\r\n\r\n"
    sent = (head, body, last) if apart else (head + body + last,)
    told = await talk(*sent, until=b"GET /last")
    content = "body" if framing is CHUNKED else body.decode()
    assert f"POST /in {content}" in told
    assert told.count("HTTP/1.1 200") == 2


async def test_thousands_of_offers_in_one_piece_are_thousands_of_requests(site: Site) -> None:
    reader, writer = await site.connect()
    count = 3_000
    writer.write(request("/hold"))
    await site.arrived.wait()
    writer.write((b"GET / HTTP/1.1\r\n" + UPGRADE + b"upgrade: a\r\n\r\n") * count)
    await writer.drain()
    site.release.set()
    assert (await response(reader))[1] == "released"
    for _ in range(count):
        assert (await response(reader))[1] == "home"
    writer.close()


def requests_in_a_row(rnd: random.Random) -> tuple[bytes, bytes]:
    """The same requests on one connection: each may offer an upgrade, and none does."""
    offering, plain, count = b"", b"", rnd.randint(1, 4)
    for number in range(1, count + 1):
        body = rnd.choice([b"", b"x", request("/"), rnd.randbytes(40)])
        framing, sent = rnd.choice(
            [
                (b"", b""),
                (b"content-length: %d\r\n" % len(body), body),
                (CHUNKED, (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"),
            ]
        )
        head = b"%b /%d HTTP/1.1\r\nhost: site\r\n%b" % (rnd.choice([b"GET", b"POST"]), number, framing)
        offer = rnd.choice([b"", *(b"upgrade: %b\r\n" % name for name in (b"h2c", b"websocket", b"a/1, b"))])
        ends = [b"close"] if number == count else []
        named = b", ".join([b"upgrade", *ends] if offer else ends)
        offering += head + offer + (b"connection: %b\r\n" % named if named else b"") + b"\r\n" + sent
        plain += head + (b"connection: close\r\n" if ends else b"") + b"\r\n" + sent
    return offering, plain


@pytest.mark.parametrize("talk", [HttpToolsProtocol], indirect=True)
async def test_requests_that_offer_upgrades_are_answered_as_those_that_offer_none(talk: Any) -> None:
    rnd = random.Random(1)
    for _ in range(100):
        offering, plain = requests_in_a_row(rnd)
        cuts = sorted(rnd.randrange(len(offering)) for _ in range(3))
        pieces = [offering[start:end] for start, end in pairwise([0, *cuts, len(offering)])]
        assert await talk(*pieces, until=END) == await talk(plain, until=END), offering


@pytest.mark.parametrize(
    "head",
    [
        HANDSHAKE + b"content-length: 1\r\n\r\n",
        HANDSHAKE.replace(b"GET", b"POST") + b"\r\n",
        HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n",
        b"GET /socket HTTP/1.1\r\n" + UPGRADE + b"upgrade: websocket\r\n\r\n",
    ],
    ids=["body", "method", "version", "no key"],
)
async def test_what_is_no_handshake_is_an_ordinary_request(talk: Any, head: bytes) -> None:
    told = await talk(head, b"x" if b"content-length" in head else b"", until=b"/socket ")
    assert told.startswith("HTTP/1.1 200")


async def test_a_handshake_with_a_length_of_none_is_one(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(HANDSHAKE + b"content-length: 0\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
    writer.close()


async def test_a_handshake_behind_a_request_in_flight_is_an_ordinary_request(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(request("/hold") + HANDSHAKE + b"\r\n")
    await site.arrived.wait()
    site.release.set()
    assert (await response(reader))[1] == "released"
    assert (await response(reader))[0].startswith("HTTP/1.1 404")
    writer.close()


async def test_what_follows_connect_is_not_read(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(b"CONNECT /tunnel HTTP/1.1\r\nhost: site\r\n\r\n" + request("/"))
    head, _ = await response(reader)
    assert "connection: close" in head
    assert await reader.read() == b""
    writer.close()


async def test_answers_come_in_order_also_that_to_what_is_no_http(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(request("/hold") + b"GARBAGE\r\n\r\n")
    await site.arrived.wait()
    site.release.set()
    head, body = await response(reader)
    assert (body, "connection: close" in head) == ("released", True)
    assert await reader.read() == b""
    writer.close()


async def test_nothing_is_said_in_the_middle_of_an_answer(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(b"POST /begun HTTP/1.1\r\nhost: site\r\ntransfer-encoding: chunked\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert await reader.readuntil(b"begun\r\n") == b"5\r\nbegun\r\n"
    writer.write(b"no chunk\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_a_head_in_one_piece_is_bounded_too(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(b"GET / HTTP/1.1\r\nhost: site\r\nx-large: " + b"y" * (64 * 1024) + b"\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    writer.close()


async def test_a_connection_that_cannot_end_in_order_keeps_nobody_from_it(site: Site) -> None:
    class Stuck:
        """As a WebSocket whose library gives up."""

        transport = None

        def shutdown(self) -> None:
            site.listener._state.connections.discard(self)
            raise AssertionError

    stuck = Stuck()
    stuck.transport = Mock()
    site.listener._state.connections.add(stuck)
    reader, writer = await site.connect()
    writer.write(request("/hold"))
    await site.arrived.wait()
    await site.listener.refuse(last=True)
    finished = asyncio.create_task(site.listener.finish(10))
    await asyncio.sleep(0)
    site.release.set()
    assert (await response(reader))[1] == "released"
    assert await finished == 0
    stuck.transport.close.assert_called_once()
    writer.close()


async def test_a_connection_that_never_completes_a_head_is_closed(site: Site, monkeypatch):
    assert listener_module._HEAD * listener_module._TICK == 30
    monkeypatch.setattr(listener_module, "_TICK", 0.001)
    silent, silent_writer = await site.connect()
    slow, slow_writer = await site.connect()
    slow_writer.write(request("/"))
    await response(slow)
    slow_writer.write(b"GET / HT")
    busy, busy_writer = await site.connect()
    busy_writer.write(request("/hold"))
    await site.arrived.wait()
    assert await silent.read() == b""
    assert await slow.read() == b""
    site.release.set()
    assert (await response(busy))[1] == "released"
    for writer in (silent_writer, slow_writer, busy_writer):
        writer.close()


async def test_an_application_that_does_not_start_is_no_listener():
    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        raise ConnectionError("away")
        yield

    with closing(open_sockets(LOOPBACK)) as sockets, pytest.raises(StartupFailed):
        await Listener(Starlette(lifespan=lifespan), sockets.public, LOOPBACK, lifespan="on").open()


@pytest.mark.parametrize("turns", range(1, 12))
async def test_a_start_that_is_given_up_is_no_error_and_closes_what_it_opened(turns, caplog):
    steps = []

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        await asyncio.sleep(0)
        steps.append("opened")
        try:
            yield
        finally:
            steps.append("closed")

    with closing(open_sockets(LOOPBACK)) as sockets:
        listener = Listener(Starlette(lifespan=lifespan), sockets.public, LOOPBACK, lifespan="on")
        opening = asyncio.create_task(listener.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        if opening.cancel():
            await asyncio.wait({opening})
            assert steps in ([], ["opened", "closed"])
        else:
            await listener.refuse(last=True)
            await listener.close()
    if steps:
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_listener_that_never_opened_can_be_closed():
    with closing(open_sockets(LOOPBACK)) as sockets:
        idle = Listener(Starlette(), sockets.public, LOOPBACK, lifespan="off")
        await idle.refuse(last=True)
        assert await idle.close()


def test_the_address_of_a_listener_is_a_url():
    with closing(socket.socket(socket.AF_INET6)) as sock:
        sock.bind(("::1", 0))
        port = sock.getsockname()[1]
        assert Listener(Starlette(), sock, LOOPBACK, lifespan="off").address == f"http://[::1]:{port}"


# -- children


def test_workers_have_a_second_more_than_the_longest_stop_and_their_threads(monkeypatch):
    monkeypatch.setattr("chassis.server.supervisor.time.monotonic", lambda: 0.0)
    settings = ServiceSettings(environment="staging")
    supervisor = Supervisor("never:imported", settings, open_sockets(LOOPBACK))
    supervisor._stop_all()
    assert supervisor._deadline == settings.lifecycle.longest_stop("staging") + THREADS_SECONDS + 1


@pytest.mark.parametrize(
    ("code", "text"), [(0, "code 0"), (78, "code 78"), (-9, "SIGKILL"), (-1000, "signal 1000")]
)
def test_how_a_child_ended_in_words(code, text):
    assert _exit_text(code) == text


def test_the_reloader_watches_the_service_the_chassis_and_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "__init__.py").touch()
    (tmp_path / "single_file.py").touch()
    chassis = Path(listener_module.__file__).parents[1]
    assert watched("orders.app:create_app") == [chassis, tmp_path / "orders"]
    (tmp_path / "config").mkdir()
    assert watched("single_file:create_app") == [chassis, tmp_path, Path("config")]
    assert watched("no_such_module:create_app") == [chassis, Path("config")]
