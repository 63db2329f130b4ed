"""Render a service, install it, run it and show one request: `make demo` calls this.

The service runs on 127.0.0.1 and PORT until Ctrl-C, or with ONCE=1 until the request was shown. What was
rendered lives in build/demo and is removed at the end. Standard library only.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "demo"
TOOLS = Path(sys.executable).parent
PATIENCE = 60.0

# What the service may see of this environment: it shall behave the same for everyone.
KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR")


ADDRESSES = {
    "the example resource": "/items",
    "API documentation": "/docs",
    "health": "/health",
    "metrics": "/metrics",
}


class DemoError(Exception):
    """The demonstration cannot go on; the text is for the reader of the terminal."""


def main() -> int:
    """Show the whole way from template to answered request. Returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        port = chosen_port(os.environ.get("PORT", "8000"))
        say("Rendering a service from the template into build/demo ...")
        render()
        say("Installing it into an environment of its own ...")
        install()
        say(f"Starting it on port {port} ...")
        serve(port, once=bool(os.environ.get("ONCE")))
    except DemoError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    return 0


def chosen_port(text: str) -> int:
    """Return the port if nothing listens on it."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise DemoError(f"PORT={text} is no port: choose a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except PermissionError as error:
            raise DemoError(
                f"Port {text} needs root: choose one from 1024 with make demo PORT=8001."
            ) from error
        except OSError as error:
            raise DemoError(
                f"Port {text} is in use: choose another with make demo PORT={int(text) % 65000 + 1}."
            ) from error
    return int(text)


def render() -> None:
    """Run Copier on the working tree, uncommitted changes included."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "demo"), ("EMAIL", "demo@example.com"))
    }
    run(
        "The template could not be rendered",
        [TOOLS / "copier", "copy", "--quiet", "--defaults", "--vcs-ref", "HEAD", ROOT, FOLDER],
        {**os.environ, **identity, "PYTHONWARNINGS": "ignore"},
    )


def install() -> None:
    """Resolve and install what the service needs to serve."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    }
    run(
        "The service could not be installed",
        [
            TOOLS / "uv",
            "sync",
            "--quiet",
            "--no-default-groups",
            "--directory",
            FOLDER,
            "--python",
            sys.executable,
        ],
        environment,
    )


def run(problem: str, command: list[Path | str], environment: dict[str, str]) -> None:
    """Run a command and show its output only if it fails."""
    done = subprocess.run(
        command, check=False, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise DemoError(f"{problem}; the lines above say why.")


def serve(port: int, *, once: bool) -> None:
    """Start the service, show one request, and stay until it is stopped."""
    environment = {key: os.environ[key] for key in KEPT if key in os.environ}
    environment |= {"HOST": "127.0.0.1", "PORT": str(port), "LOG_FORMAT": "json"}
    log = FOLDER / "demo.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [FOLDER / ".venv" / "bin" / "python", "-m", "example_service"],
            cwd=FOLDER,
            env=environment,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_healthy(process, address, log)
        with log.open(encoding="utf-8") as lines:
            show(address, lines)
            if once:
                return
            say("\nIt stays up until Ctrl-C. Its log from here on:\n")
            follow(process, lines)
    finally:
        stop(process)


def wait_until_healthy(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the service is ready for requests."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if get(f"{address}/health/ready").status == 200:
                return
        except OSError:
            time.sleep(0.1)
    sys.stderr.write(log.read_text(encoding="utf-8"))
    raise DemoError("The service did not become healthy; its output above says why.")


def get(url: str, body: object = None) -> "Answer":
    """Send one request, a POST if there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return Answer(response.status, dict(response.headers), response.read().decode())


class Answer:
    """What came back: status, headers, text."""

    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.text = text


def show(address: str, lines: IO[str]) -> None:
    """Print the addresses, one request, the log line it wrote and the metrics it moved."""
    say("\nThe service is healthy.\n")
    for what, path in ADDRESSES.items():
        say(f"  {what:<22} {address}{path}")
    draft = {"name": "Desk lamp", "description": "the first item"}
    answer = get(f"{address}/items", draft)
    say(f"\nOne request:\n\n  POST /items {json.dumps(draft)}\n  {answer.status} {answer.text}")
    for name in ("x-request-id", "ratelimit-policy", "ratelimit"):
        if name in answer.headers:
            say(f"  {name}: {answer.headers[name]}")
    say("\nThe log line it wrote:\n")
    say(f"  {log_line(lines, answer.headers['x-request-id'])}")
    say("\nThe metrics it moved:\n")
    for line in metrics_of(get(f"{address}/metrics").text):
        say(f"  {line}")


def log_line(lines: IO[str], request_id: str) -> str:
    """Return the access line of a request; the log is written a moment after the answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        line = lines.readline()
        if request_id in line:
            return line.rstrip()
        if not line:
            time.sleep(0.05)
    raise DemoError("The service wrote no log line for the request.")


def metrics_of(text: str) -> Iterator[str]:
    """Pick the lines about POST /items, the buckets of the histogram left out."""
    for line in text.splitlines():
        if 'route="/items"' in line and "_bucket" not in line and "_created" not in line:
            yield line


def follow(process: subprocess.Popen[bytes], lines: IO[str]) -> None:
    """Print the log until the process ends."""
    while process.poll() is None:
        line = lines.readline()
        if line:
            say(line.rstrip())
        else:
            time.sleep(0.1)
    raise DemoError("The service ended by itself; its output above says why.")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the service to finish, and end it if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
