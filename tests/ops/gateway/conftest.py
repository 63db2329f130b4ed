"""Real nginx and real Envoy with the rendered configuration, in front of a real service."""

import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

# A client's own address, so that it is not the gateway's.
CLIENT = "127.0.0.5"

ECHO = '''\
"""A WebSocket that answers what it hears."""

from fastapi import APIRouter, WebSocket

router = APIRouter()


@router.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    """Answer three messages."""
    await socket.accept()
    for _ in range(3):
        await socket.send_text(await socket.receive_text())
    await socket.close()
'''


@pytest.fixture(scope="session")
def service(render: Callable[..., Path]) -> Path:
    """A service with a WebSocket."""
    folder = render(fresh=True)
    package = folder / "src" / "orders"
    (package / "echo.py").write_text(ECHO, encoding="utf-8")
    app = package / "app.py"
    text = app.read_text(encoding="utf-8")
    for before, after in (
        ("from .items import", "from . import echo\nfrom .items import"),
        ("routers=[items.router]", "routers=[items.router, echo.router]"),
    ):
        assert before in text
        text = text.replace(before, after)
    app.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def deploy(service: Path, certificate: Path, tmp_path: Path) -> Path:
    """A copy of the rendered configuration, with a certificate."""
    folder = Path(shutil.copytree(service / "deploy", tmp_path / "deploy"))
    for name in ("tls.crt", "tls.key"):
        shutil.copy2(certificate / name, folder / "tls")
    return folder


def replace(file: Path, *changes: tuple[str, str]) -> None:
    """Replace texts of a file, each of which must be there."""
    text = file.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")


class Gateway:
    """A running gateway: its two ports, and the process."""

    def __init__(self, name: str, plain: int, secure: int, running: Any, verify: ssl.SSLContext) -> None:
        self.name = name
        self.plain = f"http://127.0.0.1:{plain}"
        self.secure = f"https://127.0.0.1:{secure}"
        self.port = secure
        self.running = running
        self.verify = verify

    def client(self, address: str = CLIENT, **options: Any) -> httpx2.Client:
        """A client of its own address."""
        transport = httpx2.HTTPTransport(local_address=address, verify=self.verify)
        return httpx2.Client(base_url=self.secure, transport=transport, timeout=20, **options)


@pytest.fixture
def open_gateway(
    *,
    deploy: Path,
    certificate: Path,
    start: Callable[..., Any],
    free_port: Callable[[], int],
    tool: Callable[[str], str],
    tmp_path: Path,
) -> Callable[[str, int], Gateway]:
    """Start a gateway in front of a port of this machine. Names, ports and folders of the container are replaced."""

    def opened(name: str, service_port: int) -> Gateway:
        plain, secure = free_port(), free_port()
        if name == "nginx":
            replace(
                deploy / "nginx" / "nginx.conf",
                ("/tmp/", f"{tmp_path}/"),
                ("/dev/stdout", f"{tmp_path}/access.log"),
                ("listen 8080", f"listen 127.0.0.1:{plain}"),
                ("listen 8443", f"listen 127.0.0.1:{secure}"),
            )
            replace(deploy / "nginx" / "upstream.conf", ("service:8000", f"127.0.0.1:{service_port}"))
            user = " user root;" if os.geteuid() == 0 else ""
            options = ("-c", deploy / "nginx" / "nginx.conf", "-g", f"daemon off;{user}")
            running = start(tool("nginx"), *options)
        else:
            replace(
                deploy / "envoy" / "envoy.yaml",
                ("/tmp/", f"{tmp_path}/"),
                ("address: 0.0.0.0", "address: 127.0.0.1"),
                ("port_value: 8080", f"port_value: {plain}"),
                ("port_value: 8443", f"port_value: {secure}"),
                ("address: service", "address: 127.0.0.1"),
                ("port_value: 8000", f"port_value: {service_port}"),
            )
            options = ("--config-path", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1")
            running = start(tool("envoy"), *options, cwd=deploy / "envoy")
        verify = ssl.create_default_context(cafile=str(certificate / "tls.crt"))
        gateway = Gateway(name, plain, secure, running, verify)
        with gateway.client() as client:
            running.wait_until(lambda: answers(client), f"{name} answers")
        return gateway

    return opened


def answers(client: httpx2.Client) -> bool:
    """Whether the gateway is there, whatever it answers."""
    try:
        return client.get("/health/live").status_code < 600
    except httpx2.TransportError:
        return False


@pytest.fixture(params=["nginx", "envoy"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def served(
    kind: str,
    service: Path,
    open_gateway: Callable[[str, int], Gateway],
    start_service: Callable[..., Any],
    free_port: Callable[[], int],
) -> Iterator[tuple[Gateway, Any]]:
    """A gateway and the service behind it, which trusts it."""
    port = free_port()
    running = start_service(
        service, port=port, ENVIRONMENT="staging", TRUSTED_PROXIES="127.0.0.1", RATE_LIMITING_ENABLED="false"
    )
    gateway = open_gateway(kind, port)
    with gateway.client() as client:
        gateway.running.wait_until(lambda: client.get("/items").status_code == 200, "requests pass")
    return gateway, running
