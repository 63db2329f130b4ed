"""The process as its users have it: started for real, spoken to over HTTP, stopped by signals."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

PATIENCE = 30.0  # seconds until a test gives up waiting; none of them asserts a time

SHOP = """
import asyncio, os, pathlib, signal, time
from types import SimpleNamespace

import structlog
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from chassis.health import Health, HealthSettings
from chassis.lifecycle import Lifecycle
from chassis.logging import configure_logging
from chassis.service_settings import ServiceSettings
from chassis.settings import Mistake, SettingsError, load

log = structlog.get_logger("shop")
ANSWER = "first"


class Settings(ServiceSettings):
    pass


class Shop:
    def __init__(self, settings):
        configure_logging(settings.logging, service="shop", environment=settings.environment)
        lifecycle = Lifecycle(settings.lifecycle)
        health = Health(HealthSettings(memory_max_percent=0, disk_min_free_mib=0), lifecycle=lifecycle)
        self.environment = SimpleNamespace(lifecycle=lifecycle)
        self.held = asyncio.Event()
        lifecycle.on_start("mark", lambda: log.info("opening"))
        if os.environ.get("SLOW_START"):
            lifecycle.on_start("slow", self.hold)
        if os.environ.get("FAIL_START"):
            lifecycle.on_start("database", self.fail)
        once = os.environ.get("START_ONCE")
        if once:
            lifecycle.on_start("once", lambda: pathlib.Path(once).touch(exist_ok=False))
        lifecycle.on_drain("mark", lambda: log.info("drain announced"))
        if os.environ.get("BLOCK_DRAIN"):
            lifecycle.on_drain("block", lambda: time.sleep(600))
        lifecycle.on_close("mark", lambda: log.info("closing"))

        async def lifespan(app):
            async with lifecycle.running():
                yield
            if os.environ.get("FAIL_STOP"):
                raise ConnectionError("the database is away")

        from contextlib import asynccontextmanager

        self.public = Starlette(
            lifespan=asynccontextmanager(lifespan),
            routes=[
                Route("/", self.home),
                Route("/pid", self.pid),
                Route("/hold", self.hold_request),
                Route("/release", self.release),
                Route("/block", self.block),
                *health.routes(),
            ],
        )
        self.management = None
        if settings.server.management_port is not None:
            self.management = Starlette(
                routes=[
                    Route("/metrics", self.metrics),
                    Route("/release", self.release),
                    Route("/block", self.block),
                    *health.routes(),
                ]
            )

    async def hold(self):
        log.info("holding")
        await asyncio.Event().wait()

    def fail(self):
        raise ConnectionError("the database is away")

    async def home(self, request):
        return PlainTextResponse(ANSWER)

    async def pid(self, request):
        return PlainTextResponse(str(os.getpid()))

    async def metrics(self, request):
        return PlainTextResponse("metrics")

    async def hold_request(self, request):
        log.info("request held")
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.held.set)
        await self.held.wait()
        return PlainTextResponse("released")

    def block(self, request):
        log.info("thread blocked")
        time.sleep(600)

    async def release(self, request):
        self.held.set()
        return PlainTextResponse("ok")

    async def __call__(self, scope, receive, send):
        async def closing(message):
            draining = self.environment.lifecycle.state == "draining"
            if message["type"] == "http.response.start" and draining:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self.public(scope, receive, closing)


def refusing():
    from fastapi import Response

    from chassis.app import create_app

    app = create_app(load(Settings))
    app.get("/header")(lambda: Response("x", headers={"X-Split": "a\\r\\nb"}))
    app.get("/status")(lambda: Response("x", status_code=600))
    return app


def create_app(settings=None):
    if os.environ.get("REFUSING"):
        return refusing()
    if os.environ.get("WRONG_SETTING"):
        raise SettingsError([Mistake("SHOP_KEY", "must be set")])
    if not os.environ.get("PLAIN"):
        return Shop(settings or load(Settings))
    return Starlette(routes=[Route("/", lambda request: PlainTextResponse("plain"))])
"""

MAIN = """
import sys
from shop import Settings
from chassis.server import main

if __name__ == "__main__":
    sys.exit(main("shop:create_app", Settings))
"""

GIVING_UP = """
import sys
from shop import Settings
from chassis.lifecycle import Backoff
from chassis.logging import configure_logging
from chassis.structured import structlog
from chassis.server.sockets import open_sockets
from chassis.server.supervisor import Supervisor
from chassis.settings import load

log = structlog.get_logger("shop")


class Short(Backoff):
    def delay(self, failures, chance):
        log.info("backing off", failures=failures)
        return 0.001


if __name__ == "__main__":
    settings = load(Settings)
    configure_logging(settings.logging, service="shop", environment=settings.environment)
    sockets = open_sockets(settings.server)
    sys.exit(Supervisor("shop:create_app", settings, sockets, backoff=Short()).run())
"""


class Process:
    """A service started as a real process, and what it said so far."""

    def __init__(self, arguments: list[str], directory: Path, environ: dict[str, str]) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME", "TMPDIR"} or name.startswith("COV")
        }
        path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=directory,
            env={
                "HOST": "127.0.0.1",
                "PORT": "0",
                "LOG_FORMAT": "json",
                **inherited,
                "PYTHONPATH": path,
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # as a service is; and a stray child can be found
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.popen.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def events(self, *names: str) -> list[dict[str, Any]]:
        found = []
        for line in list(self.lines):
            with suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and (not names or record.get("event") in names):
                    found.append(record)
        return found

    def order(self, *names: str) -> list[str]:
        return [record["event"] for record in self.events(*names)]

    def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        with self._changed:
            there = self._changed.wait_for(lambda: len(self.events(name)) >= count, PATIENCE)
        assert there, f"{name!r} was not said {count} times:\n{self.output}"
        return self.events(name)

    @property
    def port(self) -> int:
        return int(self.wait_for("serving")[0]["url"].rpartition(":")[2])

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def exit_code(self) -> int:
        code = self.popen.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self._reader.join(PATIENCE)
        self.popen.stdout.close()


Start = Callable[..., Process]


@contextmanager
def services(directory: Path) -> Iterator[Start]:
    (directory / "shop.py").write_text(SHOP)
    (directory / "serve.py").write_text(MAIN)
    (directory / "giving_up.py").write_text(GIVING_UP)
    started: list[Process] = []

    def start(*options: str, module: str = "serve", **environ: object) -> Process:
        texts = {name: str(value) for name, value in environ.items()}
        started.append(Process(["-m", module, *options], directory, texts))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.end()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with services(tmp_path) as starter:
        yield starter


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        return int(sock.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


class Connection:
    """A keep-alive connection that never retries."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, path: str) -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n".encode())
        await self._writer.drain()

    async def receive(self) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
        body = await self._reader.readexactly(int(headers["content-length"]))
        return Answer(int(head[0].split()[1]), headers, body.decode())

    async def get(self, path: str) -> Answer:
        await self.send(path)
        return await self.receive()

    def close(self) -> None:
        self._writer.close()


async def fetch(port: int, path: str) -> Answer:
    connection = await Connection.open(port)
    try:
        return await connection.get(path)
    finally:
        connection.close()


def get(port: int, path: str) -> Answer:
    return asyncio.run(asyncio.wait_for(fetch(port, path), PATIENCE))


# -- the drain, once with one process and once with two workers


@dataclass
class Drain:
    """What was seen while a service under load was stopped."""

    process: Process
    exit_code: int = -1
    served: int = 0
    lost: list[str] = field(default_factory=list)
    ready_before: int = 0
    ready_while_draining: int = 0
    home_while_draining: list[Answer] = field(default_factory=list)
    held: Answer | None = None
    refused_while_held: bool = False
    management_while_held: dict[str, Answer] = field(default_factory=dict)


async def new_connections(port: int, drain: Drain) -> None:
    """Send each request on a connection of its own until they are refused."""
    while True:
        try:
            connection = await Connection.open(port)
        except ConnectionRefusedError:
            return
        await one_request(connection, drain)
        connection.close()


async def kept_connections(port: int, drain: Drain) -> None:
    """Send request after request on one connection, and open another when told that it closes."""
    while True:
        try:
            connection = await Connection.open(port)
        except ConnectionRefusedError:
            return
        while await one_request(connection, drain):
            pass
        connection.close()


async def one_request(connection: Connection, drain: Drain) -> bool:
    try:
        answer = await connection.get("/")
    except (OSError, asyncio.IncompleteReadError) as error:
        drain.lost.append(repr(error))
        return False
    drain.served += 1
    return answer.headers.get("connection") != "close"


async def stop_under_load(process: Process, management_port: int) -> Drain:
    drain = Drain(process)
    port = process.port
    drain.ready_before = (await fetch(port, "/health/ready")).status
    load = [asyncio.create_task(new_connections(port, drain)) for _ in range(4)]
    load += [asyncio.create_task(kept_connections(port, drain)) for _ in range(4)]
    held = await Connection.open(port)
    await held.send("/hold")
    await asyncio.to_thread(process.wait_for, "request held")

    process.signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait_for, "drain announced", len(process.events("serving")))
    drain.ready_while_draining = (await fetch(port, "/health/ready")).status
    drain.home_while_draining.append(await fetch(port, "/"))
    await asyncio.gather(*load)  # ends when every worker refuses connections

    for path in ("/metrics", "/health"):
        drain.management_while_held[path] = await fetch(management_port, path)
    for _ in range(200):  # the event is set in the worker that answers: reach both
        with suppress(OSError, asyncio.IncompleteReadError):
            await fetch(management_port, "/release")
        if len(process.events("requests finished")) == len(process.events("serving")):
            break
    drain.held = await held.receive()
    held.close()
    drain.exit_code = await asyncio.to_thread(process.exit_code)
    return drain


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def drain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drain]:
    with services(tmp_path_factory.mktemp("drain")) as start_service:
        management = free_port()
        process = start_service(
            WORKERS=request.param, DRAIN_DELAY=1, MANAGEMENT_PORT=management, LOG_LEVLE="INFO"
        )
        process.wait_for("serving", request.param)
        yield asyncio.run(asyncio.wait_for(stop_under_load(process, management), PATIENCE * 2))


def test_a_stop_under_load_loses_no_request(drain):
    assert drain.lost == []
    assert drain.served > 0


def test_readiness_fails_first_while_requests_are_still_served(drain):
    assert drain.ready_before == 200
    assert drain.ready_while_draining == 503
    (home,) = drain.home_while_draining
    assert (home.status, home.headers["connection"]) == (200, "close")


def test_a_request_in_flight_is_finished_after_connections_are_refused(drain):
    assert drain.held is not None
    assert (drain.held.status, drain.held.text) == (200, "released")


def test_the_management_port_answers_until_the_requests_are_finished(drain):
    assert drain.management_while_held["/metrics"].text == "metrics"
    assert drain.management_while_held["/health"].status == 200


def test_a_drain_is_no_failure(drain):
    assert drain.exit_code == 0, drain.process.output


def test_each_process_stops_in_order(drain):
    steps = ("drain announced", "draining", "refusing connections", "requests finished", "closing")
    if len(drain.process.events("serving")) == 1:
        assert drain.process.order("opening", "serving", *steps, "stopped") == [
            "opening",
            "serving",
            *steps,
            "stopped",
        ]
    else:
        for step in steps:  # the parent says too that it drains
            assert len(drain.process.events(step)) == (3 if step == "draining" else 2)
        assert drain.process.order("drain announced", *steps[2:])[0] == "drain announced"
        assert drain.process.events()[-1]["event"] == "stopped"  # the parent goes last


def test_a_variable_that_is_almost_right_is_a_warning(drain):
    (warning,) = drain.process.events("setting looks wrong")
    assert warning["variable"] == "LOG_LEVLE"


# -- one process


def test_a_second_ctrl_c_forces(start):
    process = start(DRAIN_DELAY=0)

    async def hold() -> None:
        connection = await Connection.open(process.port)
        await connection.send("/hold")
        await asyncio.to_thread(process.wait_for, "request held")
        process.signal(signal.SIGINT)
        await asyncio.to_thread(process.wait_for, "refusing connections")
        process.signal(signal.SIGINT)
        with pytest.raises(asyncio.IncompleteReadError):
            await connection.receive()
        connection.close()

    asyncio.run(asyncio.wait_for(hold(), PATIENCE))
    assert process.exit_code() == 130
    assert process.order("drain announced", "stopped at once") == ["drain announced", "stopped at once"]


def test_requests_that_never_finish_are_cut_off(start):
    process = start(DRAIN_DELAY=0, SHUTDOWN_TIMEOUT=0.2)

    async def hold() -> None:
        connection = await Connection.open(process.port)
        await connection.send("/hold")
        await asyncio.to_thread(process.wait_for, "request held")
        process.signal(signal.SIGINT)  # drains as SIGTERM does
        with suppress(asyncio.IncompleteReadError):
            assert (await connection.receive()).status == 500
        connection.close()

    asyncio.run(asyncio.wait_for(hold(), PATIENCE))
    assert process.exit_code() == 0
    assert process.events("requests cut off")[0]["count"] == 1
    assert process.order("requests cut off", "closing") == ["requests cut off", "closing"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_terminal_that_closes_stops_it_as_sigterm_does(start, workers):
    process = start(DRAIN_DELAY=0, WORKERS=workers)
    assert get(_listening_port(process), "/").status == 200
    os.killpg(process.popen.pid, signal.SIGHUP)  # the workers get it too
    assert process.exit_code() == 0
    assert process.order("drain announced", "stopped")[-1] == "stopped"


def test_it_survives_its_terminal_under_nohup(start):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a child process inherits it
    try:
        process = start(DRAIN_DELAY=0)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.signal(signal.SIGHUP)
    assert get(_listening_port(process), "/").status == 200
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0


@pytest.mark.parametrize(("workers", "managed"), [(1, False), (2, False), (1, True)])
def test_a_thread_that_never_ends_does_not_hold_up_the_stop(start, workers, managed):
    ports = {"MANAGEMENT_PORT": free_port()} if managed else {}
    process = start(DRAIN_DELAY=0, SHUTDOWN_TIMEOUT=0.2, WORKERS=workers, **ports)

    async def block() -> None:
        port = process.port  # waits until it serves
        connection = await Connection.open(ports.get("MANAGEMENT_PORT", port))
        await connection.send("/block")
        await asyncio.to_thread(process.wait_for, "thread blocked")
        process.signal(signal.SIGTERM)
        connection.close()

    asyncio.run(asyncio.wait_for(block(), PATIENCE))
    assert process.exit_code() == 0
    ends = process.events("closing", "stopped without waiting for threads")
    assert ends[-1]["event"] != "closing"
    assert ends[-1]["timeout_seconds"] == 2


def test_a_stop_during_the_start_closes_what_was_opened(start):
    process = start(SLOW_START=1)
    process.wait_for("holding")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert not process.events("serving")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_loses_no_line_that_waits_to_be_written(start, number):
    process = start(DRAIN_DELAY=0, ENVIRONMENT="staging", LOG_FLUSH_INTERVAL=60)
    assert get(_listening_port(process), "/").status == 200
    assert not process.events("opening")
    process.signal(number)
    assert process.exit_code() == 0
    steps = ("opening", "refusing connections", "closing", "stopped")
    assert process.order(*steps) == [*steps]


def test_uvicorns_own_command_loses_what_it_says_after_the_lifespan(start, tmp_path):
    (tmp_path / "orders.py").write_text(
        "from chassis.app import create_app\n"
        "from chassis.service_settings import ServiceSettings\n"
        "from chassis.settings import load\n"
        "def make(): return create_app(load(ServiceSettings))\n"
    )
    process = start(
        *("orders:make", "--factory", "--port", "0"),
        module="uvicorn",
        ENVIRONMENT="staging",
        LOG_FLUSH_INTERVAL=60,
    )
    assert get(_listening_port(process), "/health/ready").status == 200
    process.signal(signal.SIGTERM)
    assert process.exit_code() == -signal.SIGTERM
    assert process.events("Application startup complete.")
    assert process.events()[-1]["event"] == "Waiting for application shutdown."


def test_a_start_that_fails_ends_with_its_reason(start):
    process = start(FAIL_START=1)
    assert process.exit_code() == 1
    assert "the database is away" in process.output
    (failed,) = process.events("startup failed")
    assert failed["part"] == "database"


def test_an_application_that_does_not_end_well_is_a_failure(start):
    process = start(DRAIN_DELAY=0, FAIL_STOP=1)
    process.wait_for("serving")
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 1
    assert "the database is away" in process.output


def test_a_plain_application_can_be_served(start):
    process = start(PLAIN=1)
    # Without a chassis application nobody configures the log: find the port as a user would.
    port = _listening_port(process)
    assert get(port, "/").text == "plain"
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0


def test_uvicorn_can_serve_the_factory_itself(start):
    process = start("shop:create_app", "--factory", "--port", "0", module="uvicorn")
    port = _listening_port(process)
    assert get(port, "/").text == "first"
    process.signal(signal.SIGTERM)
    process.exit_code()
    assert process.order("opening", "drain announced", "closing") == ["opening", "drain announced", "closing"]


def test_uvicorn_by_itself_closes_the_port_at_once_and_finishes_requests(start):
    process = start("shop:create_app", "--factory", "--port", "0", module="uvicorn", DRAIN_DELAY=600)
    port = _listening_port(process)

    async def hold() -> Answer:
        held = await Connection.open(port)
        await held.send("/hold")
        await asyncio.to_thread(process.wait_for, "request held")
        process.signal(signal.SIGTERM)
        with suppress(ConnectionRefusedError, ConnectionResetError):
            while True:
                (await Connection.open(port)).close()
                await asyncio.sleep(0.01)
        process.signal(signal.SIGUSR1)  # which releases the request
        answer = await held.receive()
        held.close()
        return answer

    answer = asyncio.run(asyncio.wait_for(hold(), PATIENCE))
    assert (answer.status, answer.text) == (200, "released")
    process.exit_code()
    assert process.order("request held", "closing") == ["request held", "closing"]


def test_uvicorn_by_itself_listens_on_no_management_port(start):
    management = free_port()
    process = start(
        *("shop:create_app", "--factory", "--port", "0"), module="uvicorn", MANAGEMENT_PORT=management
    )
    assert get(_listening_port(process), "/").text == "first"
    with pytest.raises(ConnectionRefusedError):
        get(management, "/metrics")


@pytest.mark.parametrize("path", ["/header", "/status"])
def test_a_response_that_cannot_be_sent_is_a_crash_in_the_log(start, path):
    process = start(REFUSING=1)
    with pytest.raises(asyncio.IncompleteReadError) as cut:
        get(_listening_port(process), path)
    assert not cut.value.partial
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    (crash,) = process.events("request crashed")
    assert "Traceback" in crash["exception"]
    assert [line["status"] for line in process.events("request")] == [500]
    assert process.output.count("Traceback") == 1


def _listening_port(process: Process) -> int:
    waited = threading.Event()
    for _ in range(int(PATIENCE * 50)):
        for connection in psutil.Process(process.popen.pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return int(connection.laddr.port)
        waited.wait(0.02)
    raise AssertionError(process.output)


# -- several workers


def test_a_killed_worker_is_replaced(start):
    process = start("--workers", "2")
    first = {record["pid"] for record in process.wait_for("worker ready", 2)}
    victim = int(get(process.port, "/pid").text)
    assert victim in first
    os.kill(victim, signal.SIGKILL)
    (died,) = process.wait_for("worker died")
    assert (died["pid"], died["exit"]) == (victim, "SIGKILL")
    ready = {record["pid"] for record in process.wait_for("worker ready", 3)}
    assert int(get(process.port, "/pid").text) in ready - {victim}
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0


def test_workers_that_cannot_start_stop_the_process_with_their_reason_and_code(start):
    process = start(WORKERS=2, WRONG_SETTING=1)
    assert process.exit_code() == 78
    assert "SHOP_KEY must be set" in process.output
    assert process.events("giving up: workers cannot start")


def test_a_replacement_that_cannot_start_is_tried_five_times(start, tmp_path):
    once = tmp_path / "started"
    process = start(module="giving_up", WORKERS=1, START_ONCE=once)  # the module waits only a moment
    (ready,) = process.wait_for("worker ready")
    os.kill(ready["pid"], signal.SIGKILL)
    assert process.exit_code() == 1
    assert len(process.events("worker cannot start")) == 5
    assert [told["failures"] for told in process.events("backing off")] == [1, 2, 3, 4]


def test_a_second_ctrl_c_kills_the_workers(start):
    process = start(WORKERS=2, DRAIN_DELAY=600)
    process.wait_for("worker ready", 2)
    os.killpg(process.popen.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    process.wait_for("drain announced", 2)
    os.killpg(process.popen.pid, signal.SIGINT)
    assert process.exit_code() == 130


def test_a_worker_that_does_not_stop_is_killed(start):
    process = start(WORKERS=2, DRAIN_DELAY=0, SHUTDOWN_TIMEOUT=0.1, CLOSE_TIMEOUT=0.1, BLOCK_DRAIN=1)
    process.wait_for("worker ready", 2)
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 1
    assert len(process.events("worker does not stop")) == 2


def test_workers_drain_when_their_parent_dies(start):
    process = start(WORKERS=2, DRAIN_DELAY=0)
    workers = [psutil.Process(record["pid"]) for record in process.wait_for("worker ready", 2)]
    process.signal(signal.SIGKILL)
    process.wait_for("closing", 2)
    _, alive = psutil.wait_procs(workers, PATIENCE)
    assert not alive


# -- reload


def test_a_changed_source_file_restarts_the_service(start, tmp_path):
    process = start("--reload", DRAIN_DELAY=600)  # which nobody would wait for
    port = process.port
    assert get(port, "/").text == "first"
    changed = (tmp_path / "shop.py").read_text().replace('ANSWER = "first"', 'ANSWER = "second"')
    (tmp_path / "shop.py").write_text(changed)
    process.wait_for("serving", 2)
    assert get(port, "/").text == "second"
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
    assert len(process.events("closing")) == 2


STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
EARLY = """
import os, signal


def watch(*_, **__):
    os.kill(os.getpid(), signal.Signals[os.environ["EARLY"]])
    return iter(())
"""


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_ends_the_reloader_after_its_child(start, number):
    process = start("--reload", DRAIN_DELAY=600)
    process.wait_for("serving")
    os.killpg(process.popen.pid, number)  # as a terminal does: the child gets it too
    assert process.exit_code() == 0
    assert process.order("serving", "closing", "stopped") == ["serving", "closing", "stopped"]


def test_a_stop_while_its_child_begins_ends_the_reloader(start):
    process = start("--reload")
    process.wait_for(f"Started reloader process [{process.popen.pid}] using WatchFiles")
    process.signal(signal.SIGHUP)
    assert process.exit_code() == 0


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_before_the_reloader_watches_is_not_lost(start, tmp_path, number):
    (tmp_path / "watchfiles.py").write_text(EARLY)  # in the place of what the reloader watches with
    process = start("--reload", EARLY=number.name)
    assert process.exit_code() == 0
    assert not process.events("opening")


def test_the_reloader_survives_its_terminal_under_nohup(start):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a child process inherits it
    try:
        process = start("--reload")
    finally:
        signal.signal(signal.SIGHUP, before)
    port = process.port
    os.killpg(process.popen.pid, signal.SIGHUP)
    assert get(port, "/").status == 200
    process.signal(signal.SIGTERM)
    assert process.exit_code() == 0
