"""The chassis answers as bare FastAPI does: a table of requests through both, and through both forms of the layer.

``fused``: the layer in the place of the framework's own layers. ``additive``: around them, as on a version
of the framework that it does not know. The routes are those of tests/support/awkward_app.py.
"""

import asyncio
import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from asking import CRASHES, Ask, Outcome, conversation, note_crash, outcome, scope_of
from awkward_app import add_routes
from awkward_errors import NOTES, add_own_answers
from fastapi import FastAPI
from starlette.types import Message

from chassis.app import Service, create_app
from chassis.middleware import RequestLayer, framework
from chassis.ratelimit import RateLimitSettings
from chassis.service_settings import ServiceSettings

FORMS = ("fused", "additive")
JSON, FORM = ("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded")
UPLOAD = ("content-type", "multipart/form-data; boundary=b")
FILE = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n',
    b"x" * 100 + b"\r\n--b--\r\n",
)

ADDED = {
    "x-content-type-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "cache-control",
    "content-security-policy",
    "x-request-id",
}


def post(path: str, *body: bytes, headers: Sequence[tuple[str, str]] = (JSON,), **more: Any) -> Ask:
    return Ask(path, "POST", tuple(headers), body or (b"",), **more)


RAISED = (
    *("own", "child", "slow", "chain", "trap", "late", "value", "group", "http", "http-value"),
    *("http-500", "http-410", "http-304", "http-204"),
)
DEPENDENCIES = (
    *("resource", "thread", "fails-at-exit", "refuses-at-exit", "translates", "swallows"),
    *("tenant", "refuses"),
)
RAISED_BESIDES = {"exit": "SystemExit: 3", "cancelled": "CancelledError: ", "panic": "PanicError: in Rust"}
TABLE = [
    *(Ask("/items/7", method) for method in ("GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "BREW")),
    *(Ask("/starlette", method) for method in ("GET", "HEAD", "OPTIONS", "POST")),
    *(Ask(path) for path in ("/items/7?", "/items/seven", "/sync", "/nothing", "/many-headers", "/framed")),
    *(Ask(path) for path in ("/unknown", "/", "//", "/items", "/items/", "/items/7/", "/slashed", "/a%00b")),
    *(
        Ask(path)
        for path in ("/background", "/background-fails", "/not-a-response-model", "/starlette-fails")
    ),
    *(Ask(path) for path in ("/v1/outer/inner/7", "/v1/outer/inner", "/v1/outer/inner/7/")),
    *(Ask(f"/below/{path}") for path in ("items/7", "items/x", "value", "own", "nothing", "")),
    *(Ask(f"/{path}/x") for path in ("broken", "refusing", "own-error", "reading")),
    Ask("/seen", headers=(("host", "orders.example:8080"), ("x-long", "l" * 60_000))),
    Ask("/seen", root_path="/api"),
    Ask("/items/7", root_path="/api"),
    *(Ask(f"/raise/{name}") for name in RAISED),
    *(Ask(f"/raise-in-a-thread/{name}") for name in ("own", "value", "http")),
    *(Ask(f"/started/{name}") for name in ("own", "value", "http", "chain")),
    *(Ask(f"/dependency/{name}/{ending}") for name in DEPENDENCIES for ending in ("returns", "raises")),
    Ask("/dependency/function-scope"),
    *(
        Ask(path)
        for path in ("/stream", "/stream-in-a-thread", "/events", "/lines", "/stream-uses-dependency")
    ),
    *(Ask(f"/stream-fails/{after}") for after in (0, 2)),
    post("/items", b'{"name": "x", "price": 1}'),
    post("/items", b'{"name": ', b'"x", "price": 1}'),
    post("/items", b'{"name": "x"}'),
    post("/items", b'{"name": "x", '),
    post("/items", b"\xff\xfe"),
    post("/items"),
    post("/items", b"name=x", headers=[FORM]),
    post("/form", b"name=x", headers=[FORM]),
    post("/form", b"", headers=[FORM]),
    post("/upload", *FILE, headers=[UPLOAD]),
    post("/upload-fails", *FILE, headers=[UPLOAD]),
    post("/upload", b"--c\r\nnonsense", headers=[UPLOAD]),
    post("/raw", b"x" * 70_000, b"y" * 70_000, headers=[]),
    post("/reading/x", b"the ", b"body"),
    post("/left", b"all of it", leaves="after"),
    Ask("/stream", leaves=1),
    Ask("/stream", leaves=2, spec="2.4"),
    Ask("/events", leaves=2, spec="2.4"),
    Ask("/items/7", leaves=1, spec="2.4"),
    *(
        Ask(path, app="own")
        for path in ("/unknown", "/raise/value", "/raise/trap", "/broken/x", "/started/value")
    ),
    Ask("/items/7", "PUT", app="own"),
    *(Ask(path, app="debug") for path in ("/items/7", "/unknown", "/raise/own", "/raise/http")),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ask", TABLE, ids=str)
async def test_the_chassis_answers_as_bare_fastapi_does(ask: Ask, form: str) -> None:
    expected = comparable(await outcome(bare(ask.app), ask))
    found = comparable(await outcome(service(form, ask.app), ask))
    names = {name for name, _ in expected.headers}
    found.headers = [pair for pair in found.headers if pair[0] not in ADDED or pair[0] in names]
    assert found == expected


@pytest.mark.parametrize("ask", TABLE, ids=str)
async def test_both_forms_of_the_layer_answer_alike(ask: Ask) -> None:
    asked = replace(ask, headers=(*ask.headers, ("x-request-id", "differential-1")))
    fused, additive = service("fused", ask.app), service("additive", ask.app)
    assert await outcome(fused, asked) == await outcome(additive, asked)
    assert LINES[fused][-1] == LINES[additive][-1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["exit", "cancelled", "panic"])
async def test_what_is_no_exception_of_the_usual_kind_is_answered(form: str, name: str) -> None:
    found = await outcome(service(form), Ask(f"/raise/{name}"))
    assert (found.status, found.complete) == (500, True)
    assert found.raised == RAISED_BESIDES[name]


@pytest.mark.parametrize("form", FORMS)
async def test_an_application_that_returns_without_an_answer_has_crashed(form: str) -> None:
    found = await outcome(service(form), Ask("/silent/x"))
    assert (found.status, found.complete) == (500, True)
    assert found.raised == "RuntimeError: the application returned without an answer"
    assert LINES[service(form)][-1][3] == 500


REFUSALS = {
    "header": "RuntimeError: Invalid HTTP header value.",
    "status": "KeyError: 600",
    "handler": "RuntimeError: Invalid HTTP header value.",
}


class Refusing:
    """A server that takes no such start, and as uvicorn no other after it unless it is ``patient``."""

    def __init__(self, *, patient: bool) -> None:
        self.got: list[Message] = []
        self.started = False
        self._patient = patient

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.started:
                raise RuntimeError("Expected ASGI message 'http.response.body'")
            self.started = not self._patient
            if message["status"] == 600:
                raise KeyError(600)
            if any(b"\n" in value for _, value in message["headers"]):
                raise RuntimeError("Invalid HTTP header value.")
        self.got.append(message)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_response_that_the_server_does_not_start_is_a_crash(
    form: str, name: str, patient: bool
) -> None:
    CRASHES.clear()
    server = Refusing(patient=patient)
    await service(form)(scope_of(Ask(f"/refused-by-the-server/{name}")), never, server.send)
    assert [message.get("status") for message in server.got] == ([500, None] if patient else [])
    assert [REFUSALS[name]] == CRASHES
    assert LINES[service(form)][-1][3] == 500


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("path", "parts"), [("/stream-fails/0", 0), ("/stream-in-a-thread", 2)])
async def test_a_response_that_the_server_did_start_stays_what_it_is(
    form: str, path: str, parts: int
) -> None:
    CRASHES.clear()
    got: list[Message] = []

    async def send(message: Message) -> None:
        if message.get("body") == b"2":
            raise RuntimeError("Response content longer than Content-Length")
        got.append(message)

    await service(form)(scope_of(Ask(path)), never, send)
    assert [message["type"] for message in got] == ["http.response.start", *["http.response.body"] * parts]
    assert len(CRASHES) == 1
    assert LINES[service(form)][-1][3] == 200


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("form", FORMS)
async def test_nobody_needs_an_answer_when_the_client_has_left(form: str) -> None:
    found = await outcome(service(form), Ask("/silent/x", leaves="before"))
    assert (found.status, found.raised) == (None, None)
    assert LINES[service(form)][-1][3] == 499


@pytest.mark.parametrize("form", FORMS)
async def test_an_interrupt_of_the_process_passes(form: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        await outcome(service(form), Ask("/raise/interrupt"))


@pytest.mark.parametrize("form", FORMS)
async def test_a_request_that_the_server_gives_up_is_cancelled_and_cleaned_up(form: str) -> None:
    task = asyncio.ensure_future(outcome(service(form), Ask("/hang")))
    while NOTES != ["opened"]:  # noqa: ASYNC110 - bare FastAPI has no event to set
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert NOTES == ["opened", "closed"]


SOCKETS = [
    Ask(f"/socket/{name}", "WEBSOCKET")
    for name in (
        *("echo/7", "echo/seven", "listen", "closed", "resource", "unknown"),
        *("policy", "policy-later", "http", "value", "value-later"),
    )
]

DENIED: list[Message] = [
    {"type": "websocket.http.response.start", "status": 500},
    {"type": "websocket.http.response.body", "status": None},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ask", SOCKETS, ids=str)
async def test_a_socket_is_served_as_by_bare_fastapi(ask: Ask, form: str) -> None:
    expected, raised, notes = await conversation(bare("usual"), ask)
    found, logged, found_notes = await conversation(service(form), ask)
    if raised is not None and not any(message["type"] == "websocket.close" for message in expected):
        # A server would, and so does the chassis; before it was opened, it answers 500.
        expected += [{"type": "websocket.close", "code": 1011}] if expected else DENIED
    assert (told(found), logged, found_notes) == (told(expected), raised, notes)


@pytest.mark.parametrize("form", FORMS)
async def test_with_debug_a_crash_is_answered_with_its_traceback(form: str) -> None:
    expected = await outcome(bare("debug"), Ask("/raise/value"))
    found = await outcome(service(form, "debug"), Ask("/raise/value"))
    assert (found.status, found.raised) == (expected.status, expected.raised)
    assert found.body.splitlines()[-3:] == expected.body.splitlines()[-3:]


def test_the_forms_are_what_they_are_called() -> None:
    assert [service(form).middleware_stack._inside is not None for form in FORMS] == [True, False]


def comparable(found: Outcome) -> Outcome:
    """Return an outcome without what the chassis does otherwise than bare FastAPI. That is all of it:

    - An error in the framework's words is a problem: other words of the same meaning.
    - A redirect holds the path alone, since the Host header is anybody's.
    - A client that left is no crash.
    """
    headers = sorted(found.headers)
    body, raised = found.body, found.raised
    if found.status is not None and found.status >= 400 and (words := meaning(found)) is not None:
        headers = [pair for pair in headers if pair[0] not in {"content-type", "content-length"}]
        body = words
    if found.status == 307:
        headers = [(name, value.removeprefix("http://service.test")) for name, value in headers]
    if raised is not None and raised.startswith("ClientDisconnect"):
        raised = None
    return replace(found, headers=headers, body=body, raised=raised)


def told(messages: list[Message]) -> list[Message]:
    """Return the messages of a connection without what the chassis adds: headers, and problems as denials."""
    kept: list[Message] = []
    for message in messages:
        if message["type"].startswith("websocket.http.response"):
            kept.append({"type": message["type"], "status": message.get("status")})
        elif message["type"] == "websocket.accept":
            own = [pair for pair in message["headers"] if pair[0] != b"x-request-id"]
            kept.append({**message, "headers": own})
        else:
            kept.append(message)
    return kept


def meaning(found: Outcome) -> bytes | None:
    """Return what an error in the framework's words says, or the problem that stands for it."""
    kind = dict(found.headers).get("content-type")
    if found.body == b"Internal Server Error":
        return b"crash"
    content = json.loads(found.body) if kind in {"application/json", "application/problem+json"} else None
    if not isinstance(content, dict):
        return None
    if kind == "application/problem+json":
        if content["code"] == "INTERNAL_ERROR" and found.raised is not None:
            return b"crash"
        if content.get("errors"):
            said: Any = [f"{each['location']}{each['pointer']} {each['type']}" for each in content["errors"]]
        else:
            said = content.get("detail", content["title"])
            said = content.get("context", said)
    elif content.keys() == {"detail"}:
        said = content["detail"]
        if isinstance(said, list):
            # Where a body is no JSON, FastAPI's place is a number of characters, which is no pointer.
            places = [each["loc"][:1] if each["type"] == "json_invalid" else each["loc"] for each in said]
            kinds = [each["type"] for each in said]
            said = [f"{'/'.join(map(str, place))} {kind}" for place, kind in zip(places, kinds, strict=True)]
    else:
        return None
    return json.dumps(said).encode()


@functools.cache
def bare(kind: str) -> FastAPI:
    app = FastAPI(debug=kind == "debug", openapi_url=None)
    add_routes(app)
    if kind == "own":
        add_own_answers(app)
    return app


LINES: dict[Service, list[tuple[object, ...]]] = {}


@functools.cache
def service(form: str, kind: str = "usual") -> Service:
    """Return a service, whose access lines go to ``LINES`` and whose crashes go to ``CRASHES``."""
    app = create_app(ServiceSettings(rate_limiting=RateLimitSettings(enabled=False)))
    app.debug = kind == "debug"
    add_routes(app)
    if kind == "own":
        add_own_answers(app)
    with patch.object(framework, "KNOWN_FASTAPI", framework.KNOWN_FASTAPI if form == "fused" else "none."):
        layer = app.middleware_stack = app.build_middleware_stack()
    assert isinstance(layer, RequestLayer)
    lines: list[tuple[object, ...]] = []
    LINES[app] = lines
    layer._access_log.record = lambda *values: lines.append((*values[1:5], *values[6:]))
    layer.log_crash = note_crash
    return app
