"""WebSockets pass the same layer: identified, admitted, and closed cleanly when they crash."""

import sys

import pytest
from fastapi import APIRouter, WebSocket
from fastapi.responses import PlainTextResponse
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from chassis import context
from chassis.app import create_app
from chassis.ratelimit import RateLimitSettings
from chassis.security import SecuritySettings
from chassis.service_settings import ServiceSettings
from chassis.testing import capture_logs

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


@router.websocket("/early")
async def early(socket: WebSocket) -> None:
    raise RuntimeError("the socket broke early")


@router.websocket("/early-exit")
async def early_end(socket: WebSocket) -> None:
    sys.exit(3)


def client(**settings: object) -> TestClient:
    settings.setdefault("rate_limiting", RateLimitSettings(enabled=False))
    return TestClient(create_app(ServiceSettings(**settings), routers=[router]))


def test_a_connection_has_a_request_id() -> None:
    with client().websocket_connect("/echo", headers={"X-Request-ID": "socket-id.0001"}) as socket:
        socket.send_text("hello")
        answer = socket.receive_json()
    assert answer == {"heard": "hello", "request_id": "socket-id.0001"}


def test_an_id_that_the_application_passes_on_does_not_stand_beside_the_connection_s() -> None:
    @router.websocket("/passed-on")
    async def passed_on(socket: WebSocket) -> None:
        await socket.accept(
            headers=[(b"x-request-id", b"other"), (b"X-Request-ID", b"another"), (b"x-kind", b"own")]
        )
        await socket.close()

    own = {"X-Request-ID": "socket-id.0001"}
    with client().websocket_connect("/passed-on", headers=own) as socket:
        assert socket.extra_headers == [(b"x-kind", b"own"), (b"x-request-id", b"socket-id.0001")]


@pytest.mark.parametrize("path", ["/crash", "/exit"])
def test_a_crash_closes_the_connection_with_1011(path: str) -> None:
    with client().websocket_connect(path) as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert closed.value.code == 1011


@pytest.mark.parametrize("path", ["/early", "/early-exit"])
def test_a_crash_before_the_handshake_is_no_refusal(path: str) -> None:
    with pytest.raises(WebSocketDenialResponse) as answer, client().websocket_connect(path):
        pass
    assert (answer.value.status_code, answer.value.json()["code"]) == (500, "INTERNAL_ERROR")
    assert answer.value.headers["x-request-id"] == answer.value.json()["request_id"]


async def test_a_server_that_can_only_close_closes() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {
        "type": "websocket",
        "path": "/early",
        "headers": [],
        "query_string": b"",
        "scheme": "ws",
        "client": ("127.0.0.1", 40000),
    }
    await client().app(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1011}]


async def test_an_application_that_fails_after_it_denied_is_not_answered_for() -> None:
    @router.websocket("/denied-twice")
    async def denied(socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("no", 403))
        raise RuntimeError("too late")

    with pytest.raises(WebSocketDenialResponse) as answer, client().websocket_connect("/denied-twice"):
        pass
    assert (answer.value.status_code, answer.value.text) == (403, "no")


def test_a_connection_is_logged_under_its_template() -> None:
    included = APIRouter()

    @included.websocket("/rooms/{number}")
    async def room(socket: WebSocket, number: int) -> None:
        await socket.accept()
        await socket.close()

    service = client().app
    service.include_router(included, prefix="/v1")
    with capture_logs() as lines, TestClient(service).websocket_connect("/v1/rooms/7"):
        pass
    assert lines.one("websocket")["route"] == "/v1/rooms/{number}"


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
