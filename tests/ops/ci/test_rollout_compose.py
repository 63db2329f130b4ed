"""deploy/ci/rollout.sh with a real engine and a real Compose: a release replaces another, or is taken back.

The service's image is a small server here, with a health check as in the rendered Dockerfile. No registry can be had,
so `pull` is left out.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(900)]

NAME = "registry.example.com/orders"
SERVER = b"""\
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        healthy = self.path != "/health/ready" or os.environ["RELEASE"] != "broken"
        self.send_response(200 if healthy else 503)
        self.end_headers()
        self.wfile.write(os.environ["RELEASE"].encode())

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""
DOCKERFILE = """\
FROM {base}
COPY server.py /
ENV RELEASE={release}
HEALTHCHECK --interval=1s --timeout=2s --start-period=1s --retries=2 \\
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready')"]
CMD ["python", "/server.py"]
"""
COMPOSE = """\
#!/bin/sh
for word in "$@"; do if [ "$word" = pull ]; then exit 0; fi; done
exec "{compose}" "$@"
"""


@pytest.fixture
def releases(engine: Any, render: Callable[..., Path]) -> Path:
    """Three images of a service: two that work, one that never gets healthy."""
    service = render(deployment="compose")
    engine.make_base_of(service / "Dockerfile")
    (base,) = re.findall(
        r"^FROM (python:\S+)", (service / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    for release in ("1", "2", "broken"):
        engine.make(f"{NAME}:{release}", DOCKERFILE.format(base=base, release=release), {"server.py": SERVER})
    return service


@pytest.fixture
def roll_out(
    *,
    engine: Any,
    releases: Path,
    tool: Callable[[str], str],
    tmp_path: Path,
    free_port: Callable[[], int],
) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Roll out; gives the exit code and the release that answers afterwards."""
    compose = tmp_path / "compose"
    compose.write_text(COMPOSE.format(compose=tool("docker-compose")), encoding="utf-8")
    compose.chmod(0o755)
    port = str(free_port())
    docker = Path(tool("docker")).parent
    environment = {
        **engine.environment,
        "COMPOSE": str(compose),
        "PORT": port,
        "PATH": f"{docker}{os.pathsep}{os.environ['PATH']}",
    }

    def run(image: str) -> tuple[int, str]:
        done = subprocess.run(
            [releases / "deploy" / "ci" / "rollout.sh", "staging", image],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        return done.returncode, httpx2.get(f"http://127.0.0.1:{port}/").text

    yield run
    subprocess.run(
        [compose, "down", "--timeout", "5"],
        cwd=releases,
        env={**environment, "COMPOSE_PROJECT_NAME": "orders"},
        check=False,
        capture_output=True,
    )


def test_a_release_replaces_another_or_is_taken_back(roll_out: Callable[[str], tuple[int, str]]) -> None:
    assert roll_out(f"{NAME}:1") == (0, "1")
    assert roll_out(f"{NAME}:2") == (0, "2")
    assert roll_out(f"{NAME}:broken") == (1, "2")
    assert roll_out("--back") == (0, "1")
