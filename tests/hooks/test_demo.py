"""`make demo`: from the template to one answered request, and to the end."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Everything of the demonstration but its folder, and the installation: what is installed here serves.
DRIVER = """
import importlib.util, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("demo", sys.argv[1])
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)
demo.FOLDER = Path(sys.argv[2])

def install():
    python = demo.FOLDER / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(sys.argv[3])
    python.chmod(0o755)

demo.install = install
sys.exit(demo.main())
"""
SERVING = """\
#!/bin/sh
PYTHONPATH={folder}/src:{folder}/chassis/src DRAIN_DELAY=0 exec {python} "$@"
"""


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def demo(tmp_path: Path, port: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the demonstration."""
    started = []
    folder = tmp_path / "demo"
    python = SERVING.format(folder=shlex.quote(str(folder)), python=shlex.quote(sys.executable))

    def start(**variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, ROOT / "hooks" / "demo.py", folder, python],
            env={**os.environ, "PORT": port, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:  # closes its pipe and waits
            process.kill()
    assert not folder.exists()


def test_it_shows_a_request_with_its_line_and_metrics_and_once_ends_it(
    demo: Callable[..., subprocess.Popen[str]], port: str
) -> None:
    process = demo(ONCE="1")
    shown, _ = process.communicate()
    assert process.returncode == 0, shown
    assert f"http://127.0.0.1:{port}/items\n" in shown
    assert re.search(r"POST /items .*\n  201 ", shown)
    (request_id,) = re.findall(r"^  x-request-id: (\w+)$", shown, re.MULTILINE)
    assert re.search(rf'^  {{.*"request_id":"{request_id}"', shown, re.MULTILINE)
    assert 'service_requests_total{method="POST",route="/items",status="201"} 1' in shown


def test_it_stays_up_until_it_is_interrupted(demo: Callable[..., subprocess.Popen[str]]) -> None:
    process = demo()
    assert process.stdout is not None
    shown = []
    for line in process.stdout:
        shown.append(line)
        if "until Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate()
    assert process.returncode == 0, "".join(shown) + rest
    assert rest.endswith("Stopped.\n")
