"""The request layer, through applications that behave and applications that do not."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from log_capture import capture_logs
from starlette.types import Message, Receive, Scope, Send

from chassis import context
from chassis.app import Service, create_app
from chassis.errors import Conflict, InternalError, Unavailable
from chassis.logging import LoggingSettings
from chassis.ratelimit import Decision, Quota, RateLimitSettings
from chassis.security import SecuritySettings
from chassis.service_settings import ServiceSettings
from chassis.testing import capture_logs as capture_lines

SETTINGS = ServiceSettings(rate_limiting=RateLimitSettings(enabled=False), logging=LoggingSettings())


def build(router: APIRouter, settings: ServiceSettings = SETTINGS) -> Service:
    return create_app(settings, routers=[router])


@asynccontextmanager
async def client_of(app: object, **options: object) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service.test", **options) as client:
        yield client


@pytest.fixture
def router() -> APIRouter:
    router = APIRouter()

    @router.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, object]:
        return {"item_id": item_id, "bound": dict(context.current())}

    @router.get("/crash")
    async def crash() -> None:
        raise RuntimeError("connect failed: password=hunter22")

    @router.get("/refused")
    async def refused() -> None:
        raise Conflict("It is there already.")

    @router.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", headers={"X-Kind": "teapot"})

    @router.get("/not-modified")
    async def not_modified() -> None:
        raise HTTPException(304)

    @router.get("/own-headers")
    async def own_headers() -> PlainTextResponse:
        return PlainTextResponse("x", headers={"Server": "secret/1.0", "X-Frame-Options": "SAMEORIGIN"})

    @router.post("/echo")
    async def echo(body: dict[str, int]) -> dict[str, int]:
        return body

    @router.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            raise RuntimeError("half-way")

        return StreamingResponse(chunks())

    return router


async def test_a_response_carries_the_id_of_its_request(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.get("/items/1")
    assert len(response.headers["x-request-id"]) == 32
    assert response.json()["bound"]["request_id"] == response.headers["x-request-id"]


async def test_a_well_formed_request_id_is_kept(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.get("/items/1", headers={"X-Request-ID": "client-id.0001"})
    assert response.headers["x-request-id"] == "client-id.0001"


@pytest.mark.parametrize(
    "forged", ["short", "a" * 129, "with space in it", "-leading-dash", 'quote"in-the-id']
)
async def test_any_other_request_id_is_replaced(router: APIRouter, forged: str) -> None:
    async with client_of(build(router)) as client:
        response = await client.get("/items/1", headers={"X-Request-ID": forged})
    assert response.headers["x-request-id"] != forged


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "NOT_FOUND"),
        ("/items/one", 422, "VALIDATION_FAILED"),
        ("/crash", 500, "INTERNAL_ERROR"),
        ("/refused", 409, "CONFLICT"),
        ("/teapot", 418, "IM_A_TEAPOT"),
    ],
)
async def test_every_error_is_a_problem(router: APIRouter, path: str, status: int, code: str) -> None:
    async with client_of(build(router)) as client:
        response = await client.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"], problem["instance"]) == (status, code, path)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_method_that_a_path_lacks_names_those_it_has(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.delete("/items/1")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"
    assert response.json()["code"] == "METHOD_NOT_ALLOWED"


async def test_an_http_exception_keeps_its_headers(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.get("/teapot")
    assert response.headers["x-kind"] == "teapot"


@pytest.mark.parametrize("kind", [Conflict, partial(HTTPException, 409)], ids=["ours", "FastAPI's"])
async def test_no_error_describes_the_body_of_its_problem(router: APIRouter, kind: object) -> None:
    @router.get("/described")
    async def described() -> None:
        raise kind(headers={"Content-Type": "text/plain", "content-length": "1", "X-Kind": "own"})

    async with client_of(build(router)) as client:
        response = await client.get("/described")
    assert response.headers.get_list("content-type") == ["application/problem+json"]
    assert response.headers.get_list("content-length") == [str(len(response.content))]
    assert response.headers["x-kind"] == "own"


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/refused", "It is there already."),
        ("/teapot", "short and stout"),
        ("/counting", "The stock is being counted."),
    ],
)
async def test_what_an_error_says_is_for_the_client(router: APIRouter, path: str, detail: str) -> None:
    @router.get("/counting")
    async def counting() -> None:
        raise HTTPException(503, "The stock is being counted.")

    async with client_of(build(router)) as client:
        response = await client.get(path)
    assert response.json()["detail"] == detail


async def test_a_status_without_a_body_stays_without_one(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.get("/not-modified")
    assert (response.status_code, response.content) == (304, b"")


async def test_a_crash_shows_the_client_nothing(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.get("/crash")
    assert response.json()["detail"] == InternalError.default_detail
    assert "hunter22" not in response.text
    assert "RuntimeError" not in response.text


async def test_a_crash_is_logged_with_its_traceback(router: APIRouter) -> None:
    app = build(router)
    with capture_lines() as logs:
        async with client_of(app) as client:
            response = await client.get("/crash")
    crash = logs.one("request crashed")
    assert crash["request_id"] == response.headers["x-request-id"]
    assert crash["exception"].startswith("Traceback")


async def test_a_crash_is_explained_when_debugging_and_masked(router: APIRouter) -> None:
    settings = ServiceSettings(debug=True, rate_limiting=RateLimitSettings(enabled=False))
    async with client_of(build(router, settings)) as client:
        response = await client.get("/crash")
    assert "RuntimeError" in response.json()["detail"]
    assert "hunter22" not in response.text


async def test_the_application_s_own_headers_win_and_the_server_stays_unnamed(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.get("/own-headers")
    assert response.headers.get_list("x-frame-options") == ["SAMEORIGIN"]
    assert "server" not in response.headers


async def test_an_origin_that_the_application_allows_itself_is_the_only_one(router: APIRouter) -> None:
    @router.get("/open")
    async def opened() -> PlainTextResponse:
        return PlainTextResponse("x", headers={"Access-Control-Allow-Origin": "*"})

    security = SecuritySettings(cors_origins=["https://app.example"], cors_credentials=True)
    settings = SETTINGS.model_copy(update={"security": security})
    async with client_of(build(router, settings)) as client:
        response = await client.get("/open", headers={"Origin": "https://app.example"})
    said = [(name, value) for name, value in response.headers.multi_items() if name.startswith("access-")]
    assert said == [("access-control-allow-origin", "*")]
    assert response.headers["vary"] == "Origin"


async def test_an_id_that_the_application_passes_on_does_not_stand_beside_the_request_s(
    router: APIRouter,
) -> None:
    @router.get("/passed-on")
    async def passed_on() -> PlainTextResponse:
        return PlainTextResponse("x", headers={"X-Request-ID": "of-another-service"})

    async with client_of(build(router)) as client:
        response = await client.get("/passed-on", headers={"x-request-id": "of-this-request"})
    assert response.headers.get_list("x-request-id") == ["of-this-request"]


async def test_a_declared_body_over_the_limit_is_refused_unread(router: APIRouter) -> None:
    settings = ServiceSettings(
        security=SecuritySettings(max_body_bytes=10), rate_limiting=RateLimitSettings(enabled=False)
    )
    async with client_of(build(router, settings)) as client:
        response = await client.post("/echo", json={"number": 123456789})
    assert response.status_code == 413
    assert response.json()["code"] == "CONTENT_TOO_LARGE"


@pytest.mark.parametrize("declared", ["9" * 18, "9" * 19, "9" * 40])
async def test_a_declared_length_of_any_size_is_refused_where_no_body_is_read(
    router: APIRouter, declared: str
) -> None:
    async with client_of(build(router)) as client:
        response = await client.post("/nobody-reads", headers={"content-length": declared})
    assert response.status_code == 413


async def test_an_undeclared_body_is_counted_as_it_arrives(router: APIRouter) -> None:
    settings = ServiceSettings(
        security=SecuritySettings(max_body_bytes=10), rate_limiting=RateLimitSettings(enabled=False)
    )

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b'{"a": '

    async with client_of(build(router, settings)) as client:
        response = await client.post("/echo", content=chunks(), headers={"content-type": "application/json"})
    assert response.status_code == 413


async def test_preflights_cost_nothing_of_a_quota(router: APIRouter) -> None:
    settings = ServiceSettings(
        security=SecuritySettings(cors_origins=["https://app.example"]),
        rate_limiting=RateLimitSettings(requests=5),
    )
    asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with client_of(build(router, settings)) as client:
        preflights = [await client.options("/echo", headers=asks) for _ in range(12)]
        response = await client.post("/echo", json={"number": 1})
        no_preflight = await client.options("/echo", headers={"Origin": "https://app.example"})
    assert {preflight.status_code for preflight in preflights} == {204}
    assert all("ratelimit" not in preflight.headers for preflight in preflights)
    assert "r=4;" in response.headers["ratelimit"]
    assert "r=3;" in no_preflight.headers["ratelimit"]


async def test_a_file_of_the_application_refuses_a_wrong_range_with_its_own_text(
    router: APIRouter, tmp_path: Path
) -> None:
    (tmp_path / "report.txt").write_text("report")

    @router.get("/report")
    async def report() -> FileResponse:
        return FileResponse(tmp_path / "report.txt")

    async with client_of(build(router)) as client:
        for asked, status in (("bytes=zz", 400), ("bytes=99-", 416)):
            response = await client.get("/report", headers={"Range": asked})
            assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (
                status,
                "text/plain",
            )
            assert response.headers["x-request-id"]


async def test_a_body_within_the_limit_passes(router: APIRouter) -> None:
    async with client_of(build(router)) as client:
        response = await client.post("/echo", json={"number": 1})
    assert response.json() == {"number": 1}


async def test_a_host_that_is_not_allowed_is_refused(router: APIRouter) -> None:
    settings = ServiceSettings(
        security=SecuritySettings(allowed_hosts=["orders.example"]),
        rate_limiting=RateLimitSettings(enabled=False),
    )
    async with client_of(build(router, settings)) as client:
        refused = await client.get("/items/1")
        allowed = await client.get("/items/1", headers={"host": "orders.example"})
    assert (refused.status_code, allowed.status_code) == (400, 200)


async def test_over_its_rate_a_client_gets_a_problem_and_is_counted(router: APIRouter) -> None:
    settings = ServiceSettings(rate_limiting=RateLimitSettings(requests=2, window=60))
    service = build(router, settings)
    async with client_of(service) as client:
        answers = [await client.get("/items/1") for _ in range(3)]
        health = await client.get("/health/live")
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"]
    assert int(answers[2].headers["retry-after"]) > 0
    assert answers[2].json()["code"] == "TOO_MANY_REQUESTS"
    assert health.status_code == 200
    text = service.environment.metrics.render(None)[0].decode()
    assert 'service_rate_limited_total{route="/items/{item_id}"} 1' in text
    assert 'service_requests_total{method="GET",route="/items/{item_id}",status="429"} 1' in text


async def test_a_limiter_that_fails_lets_requests_pass(router: APIRouter) -> None:
    class Broken:
        async def hit(self, key: str, quota: object) -> object:
            raise ConnectionError("the store is down")

    service = build(router, ServiceSettings())
    service.environment.limiter = Broken()  # type: ignore[assignment]
    async with client_of(service) as client:
        response = await client.get("/items/1")
    assert response.status_code == 200


async def test_ten_thousand_unknown_paths_are_one_label_value(router: APIRouter) -> None:
    service = build(router)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Message) -> None:
        pass

    # Without a client, which would take most of the time.
    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": [], "scheme": "http"}
    for number in range(10_000):
        await service({**scope, "path": f"/wp-{number}/admin.php"}, receive, send)
    text, _ = service.environment.metrics.render(None)
    lines = [line for line in text.decode().splitlines() if line.startswith("service_requests_total{")]
    assert len(lines) == 1
    assert 'route="unmatched"' in lines[0]
    assert lines[0].endswith(" 10000")


async def test_metrics_carry_the_route_template(router: APIRouter) -> None:
    outer = APIRouter(prefix="/v1")
    outer.include_router(router)
    service = build(outer)
    async with client_of(service) as client:
        await client.get("/v1/items/1")
        await client.get("/health/live")
    text = service.environment.metrics.render(None)[0].decode()
    assert 'route="/v1/items/{item_id}"' in text
    assert 'route="/health/live"' in text


async def test_a_status_is_a_number_in_the_access_line(router: APIRouter) -> None:
    @router.get("/created")
    async def created() -> Response:
        return PlainTextResponse(status_code=HTTPStatus.CREATED)

    async with client_of(build(router)) as client:
        with capture_logs() as events:
            await client.get("/created")
    assert [type(event["status"]) for event in events if event["event"] == "request"] == [int]


async def test_a_request_in_background_work_is_no_longer_in_progress(router: APIRouter) -> None:
    seen: list[str] = []
    service: Service

    @router.get("/background")
    async def background(tasks: BackgroundTasks) -> None:
        def look() -> None:
            text = service.environment.metrics.render(None)[0].decode()
            seen.extend(line for line in text.splitlines() if line.startswith("service_requests_in_progress"))

        tasks.add_task(look)

    service = build(router)
    async with client_of(service) as client:
        await client.get("/background")
    assert [line.split()[-1] for line in seen] == ["0"]


async def test_a_stream_that_breaks_ends_without_an_exception_for_the_server(router: APIRouter) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async def send(message: object) -> None:
        sent.append(dict(message))  # type: ignore[call-overload]

    await build(router)(scope_of("/broken-stream"), receive, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["more_body"] is True


async def test_connections_are_closed_while_the_service_drains_and_only_then(router: APIRouter) -> None:
    service = build(router)
    lifecycle = service.environment.lifecycle
    async with client_of(service) as client:
        said = []
        for _ in range(2):
            async with lifecycle.running():
                said.append((await client.get("/items/1")).headers.get("connection"))
                lifecycle.begin_drain()
                said.append((await client.get("/items/1")).headers.get("connection"))
    assert said == [None, "close", None, "close"]


async def test_a_store_of_counts_elsewhere_is_waited_for(router: APIRouter) -> None:
    class Elsewhere:
        async def hit(self, key: str, quota: Quota) -> Decision:
            await asyncio.sleep(0)
            keys.append(key)
            return Decision(len(keys) < 3, 2, 0, 9, 3)

    keys: list[str] = []
    service = build(router, ServiceSettings())
    service.environment.limiter = Elsewhere()
    async with client_of(service) as client:
        answers = [await client.get("/items/1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit"] == '"default";r=0;t=9'
    assert answers[2].headers["retry-after"] == "3"
    assert answers[2].headers["ratelimit"] == '"default";r=0;t=3'


async def test_the_layer_wraps_any_asgi_application() -> None:
    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"plain"})

    async with client_of(wrapped(plain)) as client:
        response = await client.get("/anything")
    assert response.text == "plain"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_plain_application_that_crashes_answers_a_problem() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("nothing here")

    async with client_of(wrapped(broken)) as client:
        response = await client.get("/anything")
    assert response.status_code == 500
    assert response.json()["code"] == "INTERNAL_ERROR"


async def test_a_plain_application_may_raise_service_errors() -> None:
    async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
        raise Unavailable("Later.", retry_after=3)

    async with client_of(wrapped(unavailable)) as client:
        response = await client.get("/anything")
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


async def test_two_applications_in_one_process_count_apart(router: APIRouter) -> None:
    first, second = build(router), build(router)
    async with client_of(first) as client:
        await client.get("/items/1")
    assert b'route="/items/{item_id}"' in first.environment.metrics.render(None)[0]
    assert b'route="/items/{item_id}"' not in second.environment.metrics.render(None)[0]


async def test_a_mounted_application_is_reported_under_its_mount(router: APIRouter) -> None:
    mounted = FastAPI()

    @mounted.get("/orders/{order_id}")
    async def order(order_id: int) -> int:
        return order_id

    service = build(router)
    service.mount("/tenants/{tenant}", mounted)
    async with client_of(service) as client:
        await client.get("/tenants/acme/orders/1")
        await client.get("/tenants/acme/nothing")
    text = service.environment.metrics.render(None)[0].decode()
    assert 'route="/tenants/{tenant}/orders/{order_id}"' in text
    assert "acme" not in text


async def test_what_cannot_be_hashed_is_reported_under_its_mount(router: APIRouter) -> None:
    service = build(router)
    service.mount("/all", router)
    async with client_of(service) as client:
        assert (await client.get("/all/items/1")).status_code == 200
        await client.get("/all/nothing")
    text = service.environment.metrics.render(None)[0].decode()
    assert 'route="/all/items/{item_id}",status="200"' in text
    assert 'route="/all/{path}",status="404"' in text


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/plain/7", "/v1/plain/{name}"),
        ("/v1/raw/7", "/v1/raw/{path}"),
        ("/v1/below/7/orders/7", "/v1/below/{tenant}/orders/{order_id}"),
        ("/v1/below/7/more/orders/7", "/v1/below/{tenant}/more/orders/{order_id}"),
        ("/v1/below/7/nothing", "/v1/below/{tenant}/{path}"),
    ],
)
async def test_an_included_router_gives_the_template_of_whatever_is_in_it(path: str, template: str) -> None:
    async def plain(_: Request) -> Response:
        return Response()

    async def order(order_id: int) -> int:
        return order_id

    orders = APIRouter()
    orders.add_api_route("/orders/{order_id}", order)
    below = FastAPI()
    below.add_api_route("/orders/{order_id}", order)
    below.include_router(orders, prefix="/more")
    router = APIRouter()
    router.add_route("/plain/{name}", plain)
    router.mount("/raw", PlainTextResponse("raw"))
    router.mount("/below/{tenant}", below)
    service = build(APIRouter())
    service.include_router(router, prefix="/v1")
    async with client_of(service) as client:
        await client.get(path)
    assert f'service_requests_total{{method="GET",route="{template}",' in rendered(service)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/{path}"),
        ("/a/b.js", "/{path}"),
        ("/nothing/index.js", "/{path}"),
        ("/a//b.js", "/{path}"),
        ("/shop", "/shop/{path}"),
        ("/shop/a/b.js", "/shop/{path}"),
        ("/shop/a/b.js/", "/shop/{path}"),
        ("/shop//a", "/shop/{path}"),
        ("/v1/shop/a/b.js", "/v1/shop/{path}"),
        ("/tenants/acme/shop/a/b.js", "/tenants/{tenant}/shop/{path}"),
    ],
)
async def test_the_files_of_a_frontend_have_one_template(path: str, template: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text("home")
    (tmp_path / "a/b.js").write_text("code")
    router, below, service = APIRouter(), FastAPI(), build(APIRouter())
    for owner in (router, below, service):
        owner.frontend("/shop", directory=tmp_path)
    service.include_router(router, prefix="/v1")
    service.mount("/tenants/{tenant}", below)
    service.frontend("/", directory=tmp_path)
    async with client_of(service) as client:
        await client.get(path)
    assert f'service_requests_total{{method="GET",route="{template}",' in rendered(service)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api", "/{path}"),
        ("/api/made/up", "/{path}"),
        ("/apis/made/up", "/{path}"),
        ("/api/api-shop/made/up", "/api-shop/{path}"),
        ("/api-shop/made/up", "/api-shop/{path}"),
    ],
)
async def test_the_files_of_a_frontend_have_one_template_below_a_root_path(
    path: str, template: str, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("home")
    service = build(APIRouter())
    service.root_path = "/api"
    service.frontend("/", directory=tmp_path)
    service.frontend("/api-shop", directory=tmp_path)
    async with client_of(service) as client:
        await client.get(path)
    assert f'service_requests_total{{method="GET",route="{template}",' in rendered(service)


def rendered(service: Service) -> str:
    return service.environment.metrics.render(None)[0].decode()


def wrapped(app: object) -> object:
    from chassis.bundle import Environment
    from chassis.middleware import RequestLayer

    return RequestLayer(app, Environment(SETTINGS).collaborators())  # type: ignore[arg-type]


def scope_of(path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"service.test")],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 80),
    }


def ended(how: str) -> APIRouter:
    router = APIRouter()

    @router.get("/ended")
    async def endpoint() -> None:
        if how == "exit":
            sys.exit(3)
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    @router.get("/ended-in-a-thread")
    def endpoint_in_a_thread() -> None:
        sys.exit(3)

    return router


@pytest.mark.parametrize(
    ("how", "path", "kind"),
    [
        ("exit", "/ended", "SystemExit"),
        ("exit", "/ended-in-a-thread", "SystemExit"),
        ("cancelled", "/ended", "CancelledError"),
    ],
)
async def test_what_is_no_exception_of_the_usual_kind_is_a_crash_too(how: str, path: str, kind: str) -> None:
    app = build(ended(how))
    async with client_of(app) as client:
        response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (500, "INTERNAL_ERROR")
    assert response.headers["x-frame-options"] == "DENY"
    metrics = app.environment.metrics.render()[0].decode()
    assert f'service_requests_total{{method="GET",route="{path}",status="500"}} 1' in metrics
    assert f'service_errors_total{{component="request",type="{kind}"}} 1' in metrics


async def test_a_request_that_the_server_gives_up_is_told_that_it_stops() -> None:
    entered = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.Event().wait()

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    task = asyncio.create_task(wrapped(slow)(scope_of("/slow"), nothing, send))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]


async def nothing() -> Message:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("path", ["/echo", "/read"])
async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_crash(
    router: APIRouter, path: str
) -> None:
    @router.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    app = build(router)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**scope_of(path), "method": "POST", "headers": [(b"content-type", b"application/json")]}
    await app(scope, nothing, send)
    assert sent[0]["status"] == 499
    assert "service_errors_total{" not in app.environment.metrics.render()[0].decode()


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/items/1/", "/items/1"),
        ("/items/1/?next=//evil.net/", "/items/1?next=//evil.net/"),
        ("/items/%0d%0aX:y/", "/items/%0D%0AX:y"),
        ("/items/a%5Cb/", "/items/a%5Cb"),
        ("/slashed/1", "/slashed/1/"),
    ],
)
async def test_a_slash_too_many_or_too_few_leads_to_a_path_of_this_service(
    router: APIRouter, path: str, location: str
) -> None:
    router.add_api_route("/slashed/{number}/", endpoint=lambda number: number)
    async with client_of(build(router)) as client:
        response = await client.get(path, headers={"Host": "evil.net"})
    assert response.status_code == 307
    assert response.headers["location"] == location


@pytest.mark.parametrize("path", ["/", "//", "//evil.net", "//evil.net/", "/unknown/", "/unknown"])
async def test_no_other_path_is_redirected(path: str) -> None:
    router = APIRouter()
    if path.startswith("//"):
        router.add_api_route("/{anything:path}/", endpoint=lambda anything: anything)
    async with client_of(build(router)) as client:
        response = await client.get(httpx2.URL("http://service.test", raw_path=path.encode()))
    assert "location" not in response.headers
