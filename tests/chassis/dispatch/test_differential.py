"""Compiled routes and the framework's own give the same answers, exceptions and scopes."""

import re
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Form, Query, Request
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from routed import ASKED, Ask, RefusedError, everything, get, post, shout, starlette_endpoint
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Scope

from chassis.dispatch import compiled

# What the framework puts into the scope for dependencies with yield; not there where nothing can use it.
UNSEEN = {
    "fastapi_middleware_astack",
    "fastapi_inner_astack",
    "fastapi_function_astack",
    # Of the layer around, of which there are two.
    "starlette.exception_handlers",
}


@dataclass
class Outcome:
    sent: list[Message]
    raised: str
    scope: dict[str, Any]


async def outcome(
    app: FastAPI, stack: ASGIApp, ask: Ask, note: Callable[[str], None] | None = None
) -> Outcome:
    """Send a request through the framework's layers, and note all there is to see."""
    sent: list[Message] = []
    parts = [
        {"type": "http.request", "body": part, "more_body": number < len(ask.bodies) - 1 or ask.leaves}
        for number, part in enumerate(ask.bodies)
    ]

    async def receive() -> Message:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if len(sent) >= ask.breaks_after:
            raise OSError("the client is gone")
        sent.append(message)
        if note is not None:
            note(message["type"])

    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 5),
        "scheme": "http",
        "method": ask.method,
        "root_path": ask.root_path,
        "path": ask.root_path + ask.path,
        "raw_path": ask.path.encode(),
        "query_string": ask.query,
        "headers": [(b"host", b"service.test"), *ask.headers],
        "state": {},
        "app": app,
        **deepcopy(ask.scope),
    }
    raised = ""
    try:
        await stack(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - it is compared
        raised = f"{error!r} {error.__cause__!r} {getattr(error, 'exceptions', '')}"
    seen = {name: value for name, value in scope.items() if name not in UNSEEN}
    return Outcome(sent, hide_addresses(raised), seen)


STACKS = {"fastapi_inner_astack", "fastapi_function_astack"}


@pytest.mark.parametrize(
    ("path", "can_use_them"),
    [("/plain", False), ("/deps/nested/1", False), ("/deps/yielded", True), ("/deps/request/1", True)],
)
async def test_exit_stacks_are_left_out_where_nothing_can_use_them(
    served: Any, path: str, can_use_them: bool
) -> None:
    app, stacks = served
    seen: list[set[str]] = []
    for stack in stacks:
        scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "app": app,
            "headers": [],
            "scheme": "http",
            "server": ("service.test", 80),
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            pass

        await stack(scope, receive, send)
        seen.append(STACKS & scope.keys())
    assert seen == [STACKS, STACKS if can_use_them else set()]


def test_there_are_more_than_300_requests() -> None:
    assert len(ASKED) > 300


def hide_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def both_stacks(app: FastAPI) -> tuple[ASGIApp, ASGIApp]:
    bare, changed = app.build_middleware_stack(), app.build_middleware_stack()
    last: Any = changed
    while last.app is not app.router:
        last = last.app
    last.app = compiled(app)
    assert last.app != app.router.middleware_stack
    return bare, changed


async def assert_same(app: FastAPI, stacks: tuple[ASGIApp, ASGIApp], ask: Ask) -> Outcome:
    bare, changed = [await outcome(app, stack, ask) for stack in stacks]
    assert changed.raised == bare.raised
    assert changed.sent == bare.sent
    assert changed.scope == bare.scope
    for name in ("route", "endpoint", "router", "app"):
        assert changed.scope.get(name) is bare.scope.get(name)
    return bare


@pytest.fixture(scope="module")
def served() -> tuple[FastAPI, tuple[ASGIApp, ASGIApp]]:
    app = everything()
    return app, both_stacks(app)


@pytest.mark.parametrize("ask", ASKED, ids=str)
async def test_the_same_is_to_be_seen(served: Any, ask: Ask) -> None:
    app, stacks = served
    await assert_same(app, stacks, ask)


@pytest.mark.parametrize("prefix", ["", "/x"])
async def test_a_path_below_the_root_path_or_beside_it(served: Any, prefix: str) -> None:
    app, stacks = served
    for path in ("/plain", "/apiplain", "/api"):
        await assert_same(app, stacks, get(prefix + path, root_path=""))


async def test_routes_may_be_added_at_any_time() -> None:
    app, first, second = FastAPI(), APIRouter(), APIRouter()
    first.include_router(second, prefix="/second")
    app.include_router(first)
    stacks = both_stacks(app)

    async def endpoint() -> int:
        return 1

    async def all_same() -> list[int]:
        found = [
            await assert_same(app, stacks, get(path)) for path in ("/a", "/b", "/second/c", "/d", "/third/e")
        ]
        return [each.sent[0]["status"] for each in found]

    assert await all_same() == [404] * 5
    app.get("/a")(endpoint)
    assert await all_same() == [200, 404, 404, 404, 404]
    first.get("/b")(endpoint)
    second.get("/c")(endpoint)
    app.mount("/d", PlainTextResponse("d"))
    assert await all_same() == [200, 200, 200, 307, 404]
    third = APIRouter()
    third.get("/e")(endpoint)
    second.include_router(third)
    first.include_router(third, prefix="/third")
    assert await all_same() == [200, 200, 200, 307, 200]
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") != "/a"]
    assert await all_same() == [404, 200, 200, 307, 200]


async def test_a_router_that_was_taken_out_of_an_included_one_is_served_no_longer() -> None:
    app, outer, inner = FastAPI(), APIRouter(), APIRouter()

    @inner.get("/a")
    async def endpoint() -> int:
        return 1

    outer.include_router(inner)
    app.include_router(outer)
    stacks = both_stacks(app)
    assert (await assert_same(app, stacks, get("/a"))).sent[0]["status"] == 200
    outer.routes.clear()
    assert (await assert_same(app, stacks, get("/a"))).sent[0]["status"] == 404


async def test_a_route_that_equals_the_one_it_replaces_takes_its_place() -> None:
    app = FastAPI()

    async def endpoint() -> int:
        return 1

    app.get("/a", status_code=200)(endpoint)
    stacks = both_stacks(app)
    assert (await assert_same(app, stacks, get("/a"))).sent[0]["status"] == 200
    app.router.routes[-1] = APIRoute("/a", endpoint, status_code=202)
    assert (await assert_same(app, stacks, get("/a"))).sent[0]["status"] == 202


async def test_a_route_whose_application_was_wrapped_is_called_wrapped() -> None:
    app = FastAPI()

    @app.get("/a")
    async def endpoint() -> int:
        return 1

    stacks = both_stacks(app)
    await assert_same(app, stacks, get("/a"))
    app.router.routes[-1].app = PlainTextResponse("wrapped")  # type: ignore[attr-defined]
    assert (await assert_same(app, stacks, get("/a"))).sent[1]["body"] == b"wrapped"


async def test_an_overridden_dependency_is_obeyed() -> None:
    app = everything()
    stacks = both_stacks(app)

    def override(q: int) -> str:
        return f"overridden {q}"

    asks = [get("/deps/nested/1"), get("/deps/nested/1", b"q=2"), get("/plain")]
    for ask in asks:
        await assert_same(app, stacks, ask)
    app.dependency_overrides[shout] = override
    changed = [await assert_same(app, stacks, ask) for ask in asks]
    assert [each.sent[0]["status"] for each in changed] == [422, 200, 200]
    app.dependency_overrides.clear()
    restored = [await assert_same(app, stacks, ask) for ask in asks]
    assert [each.sent[0]["status"] for each in restored] == [200, 200, 200]


async def test_the_limits_of_bodies_hold() -> None:
    app = FastAPI()

    @app.post("/a")
    async def endpoint(body: dict[str, int]) -> int:
        return len(body)

    app.post("/b", max_body_size=9)(endpoint)
    limited = APIRouter(max_body_size=5)
    limited.post("/c")(endpoint)
    limited.add_route("/d", starlette_endpoint, methods=["POST"])
    app.include_router(limited)
    stacks = both_stacks(app)
    for path in "abcd":
        for body in (b"{}", b'{"a": 1}', b'{"a": 1, "b": 2, "c": 3}'):
            await assert_same(app, stacks, post(f"/{path}", body))


async def test_what_is_done_after_the_answer_is_done_in_the_same_order() -> None:
    app, notes = FastAPI(), []

    async def noted(name: str) -> AsyncIterator[str]:
        notes.append(f"open {name}")
        yield name
        notes.append(f"close {name}")

    async def inner(background: BackgroundTasks) -> AsyncIterator[str]:
        background.add_task(notes.append, "background")
        async for each in noted("function"):
            yield each

    async def outer() -> AsyncIterator[str]:
        async for each in noted("request"):
            yield each

    @app.get("/a")
    async def endpoint(
        a: Annotated[str, Depends(inner, scope="function")],
        b: Annotated[str, Depends(outer)],
        own: bool = False,
    ) -> Any:
        notes.append("endpoint")
        return PlainTextResponse("own") if own else "plain"

    for query in (b"", b"own=1"):
        seen = []
        for stack in both_stacks(app):
            notes.clear()
            await outcome(app, stack, get("/a", query), note=notes.append)
            seen.append(list(notes))
        assert seen[0] == seen[1]
        assert seen[0][-3:] == ["http.response.body", "background", "close request"]


async def test_a_default_is_made_anew_for_each_request() -> None:
    app = FastAPI()

    @app.get("/a")
    async def endpoint(tags: Annotated[list[str], Query()] = ["x"]) -> list[str]:  # noqa: B006 - under test
        tags.append("y")
        return tags

    stacks = both_stacks(app)
    for _ in range(2):
        assert (await assert_same(app, stacks, get("/a"))).sent[1]["body"] == b'["x","y"]'


async def test_no_handler_is_asked_when_a_client_leaves_in_the_middle_of_an_answer() -> None:
    app, asked = FastAPI(), []

    @app.exception_handler(OSError)
    async def answer(_: Request, error: Exception) -> PlainTextResponse:
        asked.append(error)
        return PlainTextResponse("never seen", 400)

    @app.get("/a")
    async def endpoint() -> int:
        return 1

    stacks = both_stacks(app)
    for after in (0, 1):
        bare = await assert_same(app, stacks, get("/a", breaks_after=after))
        assert "response already started" in bare.raised
    assert asked == []


async def test_limits_of_forms_are_handed_down() -> None:
    app, below, deeper = FastAPI(), APIRouter(), APIRouter(form_limits={"max_fields": 1})

    @below.post("/a")
    async def endpoint(a: Annotated[str, Form()], b: Annotated[str, Form()]) -> str:
        return a + b

    deeper.include_router(below)
    app.include_router(below, prefix="/free")
    app.include_router(deeper, prefix="/deep")
    app.include_router(below, prefix="/near", form_limits={"max_fields": 1})
    stacks = both_stacks(app)
    found = [
        await assert_same(app, stacks, post(path, b"a=1&b=2", kind=b"application/x-www-form-urlencoded"))
        for path in ("/free/a", "/deep/a", "/near/a")
    ]
    assert [each.sent[0]["status"] for each in found] == [200, 400, 400]


@pytest.mark.parametrize("given", [{"path_params": {"n": "1"}}, {"fastapi": {}}, {"router": None}])
async def test_a_scope_that_another_application_filled_is_the_framework_s(
    served: Any, given: dict[str, Any]
) -> None:
    app, stacks = served
    for path in ("/users/7", "/deps/nested/1", "/outer/page"):
        await assert_same(app, stacks, get(path, scope=given))


async def test_an_instance_of_a_failure_may_be_raised_again() -> None:
    app = FastAPI()
    failure = RefusedError("always the same")

    @app.exception_handler(RefusedError)
    def answer(_: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(str(error), 400)

    @app.get("/a")
    async def endpoint() -> int:
        raise failure

    stacks = both_stacks(app)
    await assert_same(app, stacks, get("/a"))
    assert failure.__traceback__ is None


SEGMENTS = st.sampled_from(["a", "b", "me", "{x}", "{y}", "{n:int}", "{f:float}", "{p:path}", "x{z}", "a.b"])
TEMPLATES = st.lists(
    SEGMENTS, min_size=1, max_size=3, unique_by=lambda each: each.strip("{}x").partition(":")[0]
)
PATHS = st.lists(
    st.sampled_from(["a", "b", "me", "7", "7.5", "xy", "a.b", "aXb", "", "ü"]), min_size=1, max_size=4
)
METHODS = st.sets(st.sampled_from(["GET", "PUT", "HEAD"]), min_size=1)
ROUTES = st.lists(
    st.tuples(TEMPLATES, METHODS, st.sampled_from(["api", "plain", "mount", "include"])), max_size=6
)


async def _echo(request: Request) -> list[Any]:
    return [request.path_params, request.url.path]


async def _no_request() -> int:
    return 1


def _grown(router: Any, routes: list[Any], depth: int) -> None:
    for number, (template, methods, kind) in enumerate(routes):
        path = "/" + "/".join(template)
        if kind == "plain":
            router.add_route(path, starlette_endpoint, methods=sorted(methods))
        elif kind == "mount":
            router.routes.append(Mount(path.split("{")[0].rstrip("/") or "/m", PlainTextResponse("mounted")))
        elif kind == "include" and depth:
            below = APIRouter()
            _grown(below, routes[number + 1 :], depth - 1)
            router.include_router(
                below, prefix="/" + template[0].split("{")[0].strip("/") if "{" not in template[0] else ""
            )
        else:
            router.add_api_route(path, _echo if number % 2 else _no_request, methods=sorted(methods))


@settings(max_examples=150, deadline=None)
@given(
    ROUTES,
    st.lists(st.tuples(PATHS, st.sampled_from(["GET", "PUT", "HEAD", "POST"])), min_size=3, max_size=12),
)
async def test_any_application_finds_the_same_route(routes: list[Any], asked: list[Any]) -> None:
    app = FastAPI(openapi_url=None)
    _grown(app.router, routes, 2)
    stacks = both_stacks(app)
    for segments, method in asked:
        for end in ("", "/", "\n"):
            await assert_same(app, stacks, Ask(method, "/" + "/".join(segments) + end))
