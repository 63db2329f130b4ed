"""Rendered services as real processes, spoken to over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import copier
import httpx2
import pytest
from quick_copier import quick_copier

ROOT = Path(__file__).resolve().parents[2]
# Seconds, generous because a machine may be busy; nothing waits longer than it must.
PATIENCE = 100.0


@pytest.fixture(scope="session", autouse=True)
def _quick() -> Iterator[None]:
    with quick_copier():
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is now, without what tools leave in it."""
    folder = tmp_path_factory.mktemp("template")
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache", ".hypothesis", ".venv")
    shutil.copy2(ROOT / "copier.yml", folder)
    for name in ("questions", "template"):
        shutil.copytree(ROOT / name, folder / name, ignore=leftovers)
    return folder


@pytest.fixture(scope="session")
def in_memory(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service that keeps its items in memory."""
    folder = tmp_path_factory.mktemp("memory") / "orders"
    copier.run_copy(str(template), folder, data={"service_name": "Orders"}, defaults=True, quiet=True)
    return folder


@pytest.fixture(scope="session")
def with_database(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service that keeps its items in a database."""
    folder = tmp_path_factory.mktemp("database") / "orders"
    answers = {"service_name": "Orders", "bundles": ["database"]}
    copier.run_copy(str(template), folder, data=answers, defaults=True, quiet=True)
    return folder


class Running:
    """One started service."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.client = httpx2.Client(base_url=self.url, timeout=10)

    def wait_until_ready(self) -> None:
        """Return when the service says that it is ready."""
        self.wait_until(lambda: self.get_status("/health/ready") == 200, "the service is ready")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when a condition holds; fail with the log when it never does or the process ended."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"never came true: {what}\n{self.output()}")
            time.sleep(0.02)

    def get_status(self, path: str) -> int:
        """The status of a GET; 0 when nobody answers."""
        try:
            return self.client.get(path).status_code
        except httpx2.TransportError:
            return 0

    def output(self) -> str:
        """Everything the process has written."""
        return self.log.read_text(encoding="utf-8")

    def events(self) -> list[dict[str, Any]]:
        """The log, line by line; every line must be JSON."""
        return [json.loads(line) for line in self.output().splitlines()]

    def terminate(self) -> int:
        """Ask the process to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


Start = Callable[..., Running]


def environment(service: Path, **variables: str) -> dict[str, str]:
    """What a service sees: the packages of the render, a few settings, and nothing of the machine's own."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
    path = os.pathsep.join(str(service / folder) for folder in ("src", "chassis/src"))
    return kept | {"PYTHONPATH": path, "LOG_FORMAT": "json", "DRAIN_DELAY": "0"} | variables


@pytest.fixture
def start(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Start]:
    """Start a service and wait until it is ready; everything started is ended after the test."""
    started: list[Running] = []

    def starting(service: Path, *command: str, ready: bool = True, **variables: str) -> Running:
        port = int(variables.get("PORT", "") or free_port())
        log = tmp_path / f"log-{len(started)}"
        command = command or (sys.executable, "-m", "orders")
        with log.open("wb") as written:
            process = subprocess.Popen(
                [part.format(port=port) for part in command],
                cwd=service,
                env=environment(service, PORT=str(port), **variables),
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Running(process, port, log))
        if ready:
            started[-1].wait_until_ready()
        return started[-1]

    yield starting
    for running in started:
        running.client.close()
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(PATIENCE)


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of a service to its end."""

    def running(service: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=service,
            env=environment(service, **variables),
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    return running


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port that nothing listens on."""

    def found() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return found
