"""What a process has imported once a service is built: nothing that it does not use."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from not_needed import not_needed


def modules_after(program: str, directory: Path) -> list[str]:
    """Return the modules that a fresh process has in memory after a program."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{textwrap.dedent(program)}\nimport json, sys\nprint(json.dumps(list(sys.modules)))",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        env={},
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_a_package_that_is_not_needed_is_found() -> None:
    assert not_needed(["chassis.app", "rich.text", "richer", "opentelemetry.trace"]) == ["rich"]


SERVED = """
from fastapi import APIRouter

from chassis.app import create_app as create

router = APIRouter()


@router.get("/hello/{name}")
async def hello(name: str) -> dict[str, str]:
    return {"hello": name}


def create_app(settings):
    return create(settings, routers=[router])
"""


def test_a_service_with_default_settings_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    program = """
        import os, signal, socket, sys, threading
        from chassis.server import run
        from chassis.service_settings import ServiceSettings
        from chassis.settings import load

        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]

        def ask():
            for path in ("/hello/you", "/health/live", "/metrics"):
                answers.append(answer(f"GET {path} HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n"))
            os.kill(os.getpid(), signal.SIGTERM)

        def answer(request):
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", port)) as client:
                        client.sendall(request.encode())
                        return client.recv(12)
                except ConnectionRefusedError:
                    pass

        answers = []
        sys.path.insert(0, os.getcwd())
        sys.stdout, out = open(os.devnull, "w"), sys.stdout
        asking = threading.Thread(target=ask)
        asking.start()
        code = run("served:create_app", load(ServiceSettings, environ={"PORT": str(port), "LOG_FORMAT": "json"}))
        asking.join()
        sys.stdout = out
        assert (code, answers) == (0, [b"HTTP/1.1 200"] * 3)
    """
    assert not_needed(modules_after(program, tmp_path)) == ["psutil"]  # what a scrape of the process needs


def test_a_settings_file_brings_its_parser_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "service.yaml").write_text("service:\n  name: orders\n")
    program = """
        from chassis.service_settings import ServiceSettings
        from chassis.settings import load

        assert load(ServiceSettings, environ={}).service.name == "orders"
    """
    assert not_needed(modules_after(program, tmp_path)) == ["yaml"]


@pytest.mark.parametrize("first", ["chassis.structured", "rich"])
def test_rich_works_although_structlog_was_imported_without_it(tmp_path: Path, first: str) -> None:
    program = f"""
        import {first}
        from chassis.structured import structlog
        from rich.console import Console

        assert structlog.get_logger() and Console()
    """
    assert "rich.console" in modules_after(program, tmp_path)
