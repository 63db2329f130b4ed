"""Two renders get an environment of their own, locked and installed as a person would, by make alone."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from type_cache import type_cache

KEPT = ("HOME", "LANG", "TMPDIR", "PIP_CONFIG_FILE", "SSL_CERT_FILE", "UV_CACHE_DIR", "UV_CONFIG_FILE")


@pytest.fixture
def make() -> Callable[..., str]:
    """Run make targets in a service as in a fresh shell; returns what they print."""

    def made(service: Path, *targets: str, path: str = os.defpath, **environment: str) -> str:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        done = subprocess.run(
            ["make", f"PYTHON={sys.executable}", *targets],
            cwd=service,
            env=kept | {"PATH": path} | environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return made


def to_commit(service: Path) -> set[str]:
    """What `git add .` would take, as in a repository that was begun just now."""
    for command in (("init", "--quiet"), ("ls-files", "--others", "--exclude-standard", "-z")):
        done = subprocess.run(["git", *command], cwd=service, check=True, capture_output=True, text=True)
    return set(done.stdout.split("\0")) - {""}


@pytest.mark.ops
@pytest.mark.timeout(400)
def test_a_service_installs_uv_locks_checks_and_tests_itself(
    render: Callable[..., Path], make: Callable[..., str]
) -> None:
    service = render(bundles=["database"])
    rendered = to_commit(service)
    printed = make(service, "lock", "test")
    with type_cache() as cache:
        make(service, "check", MYPY_CACHE_DIR=str(cache))
    assert not re.search(r"^ \+ \S+==", printed, re.MULTILINE)  # a line for each package hides the rest
    assert to_commit(service) == rendered | {"uv.lock"}
    assert (service / ".uv" / "bin" / "uv").exists()
    locked = {package["name"] for package in tomllib.loads((service / "uv.lock").read_text())["package"]}
    assert {"vendored-chassis", "sqlalchemy", "alembic", "example-service"} <= locked
    migrated = make(service, "migrate")
    assert "0001" in migrated
    assert "the database is at" in migrated
    before = (service / "src" / "example_service" / "app.py").read_bytes()
    # What nothing repairs, a name that does not exist, keeps nothing from being formatted.
    draft = service / "src" / "example_service" / "draft.py"
    draft.write_text('"""A draft."""\n\nprice = amount  *  2\n')
    assert "F821" in make(service, "fmt")
    assert draft.read_text().endswith("\nprice = amount * 2\n")
    assert (service / "src" / "example_service" / "app.py").read_bytes() == before


@pytest.mark.timeout(400)
def test_a_service_takes_uv_from_the_path_and_installs_only_what_it_needs(
    render: Callable[..., Path], make: Callable[..., str], tmp_path: Path
) -> None:
    service = render(service_name="Orders", ci="none", deployment="none")
    (tmp_path / "uv").symlink_to(Path(sys.executable).parent / "uv")
    make(service, "lock", "test", path=f"{tmp_path}{os.pathsep}{os.defpath}")
    assert not (service / ".uv").exists()
    installed = {
        found.name.partition("-")[0] for found in service.glob(".venv/lib/*/site-packages/*.dist-info")
    }
    assert "orders" in installed
    assert not {"sqlalchemy", "alembic", "asyncpg"} & installed
    assert (service / ".venv" / "bin" / "orders").exists()
    assert (service / ".venv" / "bin" / "chassis").exists()
    assert_make_run_serves(service, f"{tmp_path}{os.pathsep}{os.defpath}")


def assert_make_run_serves(service: Path, path: str) -> None:
    """Start the service by make on a port of the environment, and end it as Ctrl-C does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["make", "run"],
        cwd=service,
        env={"HOME": os.environ.get("HOME", "/"), "PATH": path, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx2.TransportError):
                assert httpx2.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
                return
            time.sleep(0.1)
        pytest.fail("make run never served")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
