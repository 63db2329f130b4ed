"""What the plain uvicorn command line does not have, as docs/explanation/drain.md tells it."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]

UVICORN = (sys.executable, "-m", "uvicorn", "--factory", "orders.app:create_app", "--port", "{port}")


def answer_to(service: Any, sent: bytes) -> bytes:
    """Send bytes, and return everything that comes until the connection is closed."""
    with socket.create_connection(("127.0.0.1", service.client.base_url.port), timeout=20) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_what_is_no_http_gets_a_text_of_uvicorn(in_memory: Path, start: Start) -> None:
    answer = answer_to(start(in_memory, *UVICORN), b"no HTTP\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: text/plain" in answer
    assert answer.endswith(b"Invalid HTTP request received.")


@pytest.mark.parametrize(
    ("options", "end", "status"), [((), b"\r\n\r\n", b"200"), (("--http", "h11"), b"", b"400")]
)
def test_only_h11_bounds_the_head_of_a_request(
    in_memory: Path, start: Start, options: tuple[str, ...], end: bytes, status: bytes
) -> None:
    service = start(in_memory, *UVICORN, *options)
    head = b"GET /items HTTP/1.1\r\nhost: orders\r\nconnection: close\r\nx-large: " + b"y" * 70_000
    assert answer_to(service, head + end).split()[1] == status


@pytest.mark.parametrize(("options", "believed"), [((), True), (("--http", "h11"), False)])
def test_only_h11_drops_what_stands_behind_a_body(
    in_memory: Path, start: Start, options: tuple[str, ...], believed: bool
) -> None:
    service = start(in_memory, *UVICORN, *options)
    head = b"POST /items HTTP/1.1\r\nhost: orders\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = answer_to(service, head + b"1\r\nx\r\n0\r\nx-request-id: of-the-trailer\r\n\r\n")
    assert (b"x-request-id: of-the-trailer" in answer) is believed


@pytest.mark.parametrize(("options", "name"), [((), "uvicorn"), (("--no-server-header",), None)])
def test_it_names_itself_unless_it_is_asked_not_to(
    in_memory: Path, start: Start, options: tuple[str, ...], name: str | None
) -> None:
    service = start(in_memory, *UVICORN, *options)
    assert service.client.get("/items").headers.get("server") == name
