"""Requests through real gateways: addresses, limits, WebSockets, and what nobody outside may see."""

import json
import socket
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

CLIENT = "127.0.0.5"
MANAGEMENT = [
    "/metrics",
    "/metrics/",
    "//metrics",
    "/%6detrics",
    "/x/../metrics",
    "/METRICS",
    "/docs",
    "/docs/assets/swagger-ui.css",
    "/openapi.json",
    "/health/detailed",
    "/health//detailed",
    "/health/./detailed",
]


def logged(running: Any, path: str) -> dict[str, Any]:
    """The service's access line of a path, which is written a moment after the answer."""

    def lines() -> list[dict[str, Any]]:
        events = [json.loads(line) for line in running.output().splitlines() if line.startswith("{")]
        return [event for event in events if event["event"] == "request" and event.get("path") == path]

    running.wait_until(lambda: bool(lines()), f"{path} is logged")
    return lines()[-1]


def test_the_service_sees_the_client_and_not_what_it_claims(served: tuple[Any, Any]) -> None:
    gateway, running = served
    claims = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example.com",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9;proto=http",
    }
    with gateway.client() as client:
        answer = client.get("/items/claims", headers=claims)
    assert "strict-transport-security" in answer.headers, "the scheme is the gateway's"
    assert logged(running, "/items/claims")["client"] == CLIENT


def test_a_service_that_does_not_trust_the_gateway_sees_the_gateway(
    kind: str,
    service: Path,
    open_gateway: Callable[[str, int], Any],
    start_service: Callable[..., Any],
    free_port: Callable[[], int],
) -> None:
    port = free_port()
    running = start_service(service, port=port, ENVIRONMENT="staging")
    gateway = open_gateway(kind, port)
    with gateway.client() as client:
        gateway.running.wait_until(lambda: client.get("/items/who").status_code == 422, "requests pass")
    assert logged(running, "/items/who")["client"] == "127.0.0.1"


def test_management_is_not_there(served: tuple[Any, Any]) -> None:
    gateway, _ = served
    with ThreadPoolExecutor() as pool:  # Envoy closes after a second
        answers = dict(zip(MANAGEMENT, pool.map(partial(raw_answer, gateway), MANAGEMENT), strict=True))
    assert {path: answer.split(b" ", 2)[1] for path, answer in answers.items()} == dict.fromkeys(
        MANAGEMENT, b"404"
    )
    assert [
        path for path, answer in answers.items() if b"application/problem+json" not in answer.lower()
    ] == []
    assert [path for path, answer in answers.items() if b"service_requests_total" in answer] == []


def raw_answer(gateway: Any, path: str) -> bytes:
    """What a path gets that is written by hand: a client of a library would tidy it up."""
    return told(gateway, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())


def told(gateway: Any, request: bytes) -> bytes:
    """What these bytes get over TLS."""
    raw = socket.create_connection(("127.0.0.1", gateway.port), timeout=20, source_address=(CLIENT, 0))
    with gateway.verify.wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def told_in_plain(port: int, request: bytes) -> bytes:
    """What these bytes get without TLS."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


LARGE = b"x" * 80_000
REFUSED = {
    "a header that is too large": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + LARGE + b"\r\n\r\n",
    "an address that is too long": b"GET /" + LARGE + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no HTTP": b"NONSENSE\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a version that is not spoken": b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "an unknown coding": b"POST /items HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: foo\r\n\r\n",
    "CONNECT": b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\nConnection: close\r\n\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
}


def test_what_the_gateway_refuses_is_a_problem(served: tuple[Any, Any]) -> None:
    gateway, _ = served
    plain_port = int(gateway.plain.rpartition(":")[2])
    with ThreadPoolExecutor() as pool:  # Envoy closes after a second
        answers = dict(zip(REFUSED, pool.map(partial(told, gateway), REFUSED.values()), strict=True))
        in_plain = [REFUSED["no HTTP"], REFUSED["a header that is too large"]]
        answers |= dict(
            zip(
                ("plain", "plain, large"), pool.map(partial(told_in_plain, plain_port), in_plain), strict=True
            )
        )
    if gateway.name == "nginx":  # Envoy hangs up
        answers["plain HTTP on the port of TLS"] = told_in_plain(gateway.port, b"GET / HTTP/1.0\r\n\r\n")
    for what, answer in answers.items():
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        assert status in {400, 404, 405, 414, 426, 431, 501, 505}, what
        assert b"content-type: application/problem+json" in head.lower(), what
        assert json.loads(body)["status"] == status, what


def test_the_paths_of_the_service_are_there(served: tuple[Any, Any]) -> None:
    gateway, _ = served
    with gateway.client() as client:
        assert client.get("/health/ready").status_code == 200
        created = client.post("/items", json={"name": "Desk lamp"})
        assert created.status_code == 201
        assert client.get(created.headers["location"]).json() == created.json()


def test_plain_http_is_redirected(served: tuple[Any, Any]) -> None:
    import httpx2

    gateway, _ = served
    answer = httpx2.post(f"{gateway.plain}/items?limit=1", json={})
    assert answer.status_code == 308
    assert answer.headers["location"].startswith("https://127.0.0.1")
    assert answer.headers["location"].endswith("/items?limit=1")


def test_http_2_and_tls_1_3_and_1_2_are_spoken_and_nothing_older(served: tuple[Any, Any]) -> None:
    import ssl

    gateway, _ = served

    def spoken(version: ssl.TLSVersion) -> tuple[str | None, str | None]:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        raw = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        with context.wrap_socket(raw) as connection:
            return connection.version(), connection.selected_alpn_protocol()

    assert spoken(ssl.TLSVersion.TLSv1_3) == ("TLSv1.3", "h2")
    assert spoken(ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "h2")
    with pytest.raises(ssl.SSLError, match=r"(?i)version|alert"):
        spoken(ssl.TLSVersion.TLSv1_1)


def test_a_body_over_the_limit_is_refused(served: tuple[Any, Any]) -> None:
    gateway, _ = served
    headers = {"Content-Type": "application/json"}
    with gateway.client() as client:
        most = client.post("/items", content=b" " * 2**20, headers=headers)
        more = client.post("/items", content=b" " * (2**20 + 1), headers=headers)
    assert most.status_code == 422
    assert more.status_code == 413
    assert more.headers["content-type"] == "application/problem+json"


def test_a_websocket_passes(served: tuple[Any, Any]) -> None:
    gateway, _ = served
    url = f"wss://127.0.0.1:{gateway.port}/echo"
    with connect(url, ssl=gateway.verify, proxy=None) as echo:
        for text in ("one", "two", "three"):
            echo.send(text)
            assert echo.recv(timeout=20) == text


def test_a_service_that_is_away_is_a_problem(served: tuple[Any, Any]) -> None:
    gateway, running = served
    assert running.terminate() == 0
    with gateway.client() as client:
        answer = client.get("/items")
    assert answer.status_code in {502, 503}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code


def test_one_client_does_not_take_the_place_of_another(
    deploy: Path,
    service: Path,
    open_gateway: Callable[[str, int], Any],
    start_service: Callable[..., Any],
    free_port: Callable[[], int],
) -> None:
    # Any machine is faster than this.
    file = deploy / "nginx" / "nginx.conf"
    text = file.read_text(encoding="utf-8")
    assert "rate=100r/s;" in text
    assert "burst=200 " in text
    file.write_text(
        text.replace("rate=100r/s;", "rate=1r/s;").replace("burst=200 ", "burst=5 "), encoding="utf-8"
    )
    port = free_port()
    start_service(service, port=port, TRUSTED_PROXIES="127.0.0.1", RATE_LIMITING_ENABLED="false")
    gateway = open_gateway("nginx", port)
    with gateway.client("127.0.0.6") as greedy, gateway.client("127.0.0.7") as modest:
        refused = next(
            answer for answer in (greedy.get("/health/live") for _ in range(50)) if answer.status_code == 429
        )
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"]
        assert modest.get("/health/live").status_code == 200


def test_an_owners_location_wins(
    deploy: Path,
    service: Path,
    open_gateway: Callable[[str, int], Any],
    start_service: Callable[..., Any],
    free_port: Callable[[], int],
) -> None:
    with (deploy / "nginx" / "locations.conf").open("a", encoding="utf-8") as opened:
        opened.write("location = /items { return 410; }\n")
    port = free_port()
    start_service(service, port=port)
    with open_gateway("nginx", port).client() as client:
        assert client.get("/items").status_code == 410
