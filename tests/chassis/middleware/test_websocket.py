"""WebSockets pass the same layer: identified, admitted, and closed cleanly when they crash."""

import sys

import pytest
from fastapi import APIRouter, WebSocket
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from chassis import context
from chassis.app import create_app
from chassis.ratelimit import RateLimitSettings
from chassis.security import SecuritySettings
from chassis.service_settings import ServiceSettings

router = APIRouter()


@router.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json({"heard": await socket.receive_text(), "request_id": context.request_id()})
    await socket.close()


@router.websocket("/crash")
async def crash(socket: WebSocket) -> None:
    await socket.accept()
    raise RuntimeError("the socket broke")


@router.websocket("/listen")
async def listen(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.receive_text()


@router.websocket("/exit")
async def end(socket: WebSocket) -> None:
    await socket.accept()
    sys.exit(3)


def client(**settings: object) -> TestClient:
    settings.setdefault("rate_limiting", RateLimitSettings(enabled=False))
    return TestClient(create_app(ServiceSettings(**settings), routers=[router]))


def test_a_connection_has_a_request_id() -> None:
    with client().websocket_connect("/echo", headers={"X-Request-ID": "socket-id.0001"}) as socket:
        socket.send_text("hello")
        answer = socket.receive_json()
    assert answer == {"heard": "hello", "request_id": "socket-id.0001"}


@pytest.mark.parametrize("path", ["/crash", "/exit"])
def test_a_crash_closes_the_connection_with_1011(path: str) -> None:
    with client().websocket_connect(path) as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == 1011


def test_a_client_that_closes_is_no_crash() -> None:
    service = client()
    with service.websocket_connect("/listen") as socket:
        socket.send_text("hello")
    metrics = service.app.environment.metrics.render()[0].decode()
    assert "service_errors_total{" not in metrics


def test_a_handshake_for_another_host_is_denied_with_a_problem() -> None:
    denied = client(security=SecuritySettings(allowed_hosts=["orders.example"]))
    with pytest.raises(WebSocketDenialResponse) as refusal, denied.websocket_connect("/echo"):
        pass
    assert refusal.value.status_code == 400
    assert refusal.value.json()["code"] == "BAD_REQUEST"
    assert refusal.value.headers["x-frame-options"] == "DENY"


def test_handshakes_count_against_the_rate() -> None:
    limited = client(rate_limiting=RateLimitSettings(requests=1, window=60))
    with limited.websocket_connect("/echo") as socket:
        socket.send_text("hello")
        socket.receive_json()
    with pytest.raises(WebSocketDenialResponse) as refusal, limited.websocket_connect("/echo"):
        pass
    assert refusal.value.status_code == 429
