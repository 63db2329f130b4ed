"""The servers that the socket measurements speak to: bare FastAPI under uvicorn, and a rendered service.

The rendered service is the template's, with one router more: the one that all subjects have.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

import budgets
import peers

HERE = Path(__file__).resolve().parent
PATIENCE = 30.0
_RATIOS = {budgets.UNTRACED: None, budgets.ONE_PERCENT: "0.01", budgets.EVERY_REQUEST: "1"}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on loopback. ``seconds_to_start`` is from its start to its first answer."""

    process: "subprocess.Popen[bytes]"
    port: int
    seconds_to_start: float

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far; Linux only."""
        return sum(_cpu_nanoseconds(pid) for pid in _family(self.process.pid)) / 1e9


def render(folder: Path) -> Path:
    """Render a service with default answers, add the router of the subjects, and return where it is."""
    import copier  # a second of imports, for this function alone

    snapshot, service = folder / "template", folder / "service"
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache", ".venv")
    for name in ("questions", "template"):
        shutil.copytree(peers.ROOT / name, snapshot / name, ignore=leftovers)
    shutil.copy2(peers.ROOT / "copier.yml", snapshot)
    copier.run_copy(str(snapshot), service, data={"service_name": "Bench"}, defaults=True, quiet=True)
    package = service / "src" / "bench"
    (package / "hello.py").write_text(
        '"""What all subjects answer."""\n\nfrom subjects import router\n\nrouter = router()\n',
        encoding="utf-8",
    )
    root = package / "app.py"
    text = root.read_text(encoding="utf-8")
    changed = text.replace("routers=[items.router]", "routers=[hello.router]").replace(
        "from .items import router as items", "from . import hello"
    )
    if "hello.router" not in changed or "import hello" not in changed:
        raise RuntimeError("the composition root of a render has changed: servers.render must follow")
    root.write_text(changed, encoding="utf-8")
    return service


@contextmanager
def serving(name: str, service: Path, *, collector: int = 0) -> Iterator[Server]:
    """Run a server until the block is left. ``collector`` is the port where spans are sent."""
    port = free_port()
    module, arguments, folder, environment = program(name, service, port, collector=collector)
    command = [sys.executable, "-m", module, *arguments]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            if not wait_for(process, port):
                errors.seek(0)
                raise RuntimeError(f"no answer from {command}:\n{errors.read().decode()}")
            yield Server(process, port, time.perf_counter() - began)
        finally:
            _end(process)


def program(
    name: str, service: Path, port: int, *, collector: int = 0
) -> tuple[str, list[str], Path, dict[str, str]]:
    """Return the module to run, its arguments, where to run it, and its environment."""
    if name in _RATIOS:
        return "bench", [], service, _of_service(service, port, _RATIOS[name], collector)
    arguments = ["--factory", f"subjects:{name.partition(',')[0]}", "--port", str(port)]
    arguments += ["--loop", "uvloop", "--http", "httptools"]
    arguments += [] if name.endswith(", access log") else ["--no-access-log"]
    return "uvicorn", arguments, HERE, peers.environment(name)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)


def _of_service(service: Path, port: int, ratio: str | None, collector: int) -> dict[str, str]:
    paths = [service / "src", service / "chassis" / "src", HERE]
    variables: Mapping[str, str] = {
        "ENVIRONMENT": "production",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LOG_LEVEL": "INFO",
        "RATE_LIMIT_REQUESTS": "1000000000",
        "RATE_LIMIT_WINDOW": "60",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }
    traces: Mapping[str, str] = (
        {}
        if ratio is None
        else {
            "OTEL_ENABLED": "true",
            "OTEL_TRACES_SAMPLER_ARG": ratio,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}",
        }
    )
    return {**peers.environment("chassis"), **variables, **traces}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(process: "subprocess.Popen[bytes]", port: int, path: str = "/items/1") -> bool:
    """Wait until a server answers with 200; False when it never does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return True
        except OSError:
            time.sleep(0.002)
        finally:
            connection.close()
    return False


@contextmanager
def collector() -> Iterator[int]:
    """Run a collector of spans that throws them away, in a process of its own; yields its port."""
    port = free_port()
    with subprocess.Popen([sys.executable, str(HERE / "servers.py"), str(port)]) as process:
        try:
            if not wait_for(process, port):
                raise RuntimeError("the collector does not answer")
            yield port
        finally:
            process.kill()


class _Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take spans."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        """Answer nothing."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _family(pid: int) -> list[int]:
    """Return a process and those it started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _cpu_nanoseconds(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return total


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Collector).serve_forever()
