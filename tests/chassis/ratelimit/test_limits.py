from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from log_capture import capture_logs
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Host, Route
from starlette.types import ASGIApp

from chassis.app import create_app
from chassis.bundle import Environment
from chassis.errors import Unauthorized
from chassis.ratelimit import Decision, Limits, Quota, RateLimitSettings, rate_limit
from chassis.service_settings import ServiceSettings
from chassis.settings import load
from chassis.testing import connect
from chassis.testing.lifespan import running
from chassis.wrapping import wrap

DEFAULT = Quota(100, 60)


class Peer(NamedTuple):
    address: str = "203.0.113.7"


def scope(method: str, path: str, **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "headers": [], **more}


def quota_of(built: Limits, method: str, path: str) -> Quota | None:
    limit = built.limit_for(scope(method, path), Peer())
    return None if limit is None else limit[1]


async def answer() -> str:
    return ""


async def answer_once() -> str:
    return ""


def application() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.get("/items/special")(answer)

    @app.get("/items/{item_id:int}")
    @rate_limit("10/60")
    async def read(item_id: int) -> None: ...

    @rate_limit("3/hour")
    @app.post("/items")
    async def create() -> None: ...

    @app.api_route("/both", methods=["PUT", "PATCH"])
    @rate_limit("5/60")
    async def both() -> None: ...

    @app.get("/free")
    @rate_limit(None)
    async def free() -> None: ...

    @app.get("/unlimited")
    @rate_limit("unlimited")
    async def unlimited() -> None: ...

    @app.websocket("/live")
    @rate_limit("2/60")
    async def live(socket: WebSocket) -> None: ...

    orders = APIRouter(prefix="/orders")

    @orders.get("/{order_id}/lines/{rest:path}")
    @rate_limit("7/60")
    async def lines(order_id: str, rest: str) -> None: ...

    outer = APIRouter(prefix="/v1")
    outer.include_router(orders)
    app.include_router(outer, prefix="/api")
    app.router.routes.append(Route("/plain", lambda _: None, methods=["GET"]))
    app.mount("/files", Starlette(routes=[Route("/{name}", lambda _: None)]))
    app.router.routes.append(Host("other.example.com", Starlette()))
    app.get("/{anything}")(answer)
    return app


def limits(**settings: Any) -> Limits:
    return Limits(RateLimitSettings.model_validate(settings), application().routes)


@pytest.mark.parametrize(
    ("method", "path", "quota", "route"),
    [
        ("GET", "/plain", DEFAULT, "/plain"),
        ("GET", "/items/special", DEFAULT, "/items/special"),
        ("GET", "/items/7", Quota(10, 60, "GET /items/{item_id}"), "/items/{item_id}"),
        ("GET", "/items/seven", DEFAULT, "unmatched"),
        ("DELETE", "/items/7", DEFAULT, "unmatched"),
        ("POST", "/items", Quota(3, 3_600, "POST /items"), "/items"),
        ("PUT", "/both", Quota(5, 60, "PATCH,PUT /both"), "/both"),
        ("PATCH", "/both", Quota(5, 60, "PATCH,PUT /both"), "/both"),
        ("WEBSOCKET", "/live", Quota(2, 60, "WEBSOCKET /live"), "/live"),
        (
            "GET",
            "/api/v1/orders/4/lines/a/b",
            Quota(7, 60, "GET /api/v1/orders/{order_id}/lines/{rest}"),
            "/api/v1/orders/{order_id}/lines/{rest}",
        ),
        ("GET", "/orders/4/lines/a", DEFAULT, "unmatched"),
        ("GET", "/files/report.pdf", DEFAULT, "/files/{path}"),
        ("GET", "/whatever", DEFAULT, "/{anything}"),
        ("GET", "/", DEFAULT, "unmatched"),
        ("GET", "", DEFAULT, "unmatched"),
        ("OPTIONS", "*", DEFAULT, "unmatched"),
    ],
)
def test_each_request_has_the_quota_of_the_route_that_answers_it(
    method: str, path: str, quota: Quota, route: str
) -> None:
    built = limits()
    limit = built.limit_for(scope(method, path), Peer())

    assert limit is not None
    assert limit[1] == quota
    assert built.route_of(scope(method, path)) == route


def test_a_route_with_a_quota_has_a_count_of_its_own() -> None:
    built = limits()

    assert built.limit_for(scope("GET", "/plain"), Peer()) == ("203.0.113.7", DEFAULT)
    assert built.limit_for(scope("POST", "/items"), Peer()) == (
        "POST /items 203.0.113.7",
        Quota(3, 3_600, "POST /items"),
    )


@pytest.mark.parametrize("path", ["/free", "/unlimited"])
def test_an_endpoint_without_limit_is_not_counted(path: str) -> None:
    built = limits()

    assert built.limit_for(scope("GET", path), Peer()) is None


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/detailed", "/metrics"])
def test_probes_and_metrics_are_not_counted(path: str) -> None:
    assert limits().limit_for(scope("GET", path), Peer()) is None


@pytest.mark.parametrize(
    "path", ["/healthx", "/health/", "/health/x", "/metrics/", "//health", "/HEALTH", "/x/health"]
)
def test_only_the_exact_paths_are_exempt(path: str) -> None:
    assert limits().limit_for(scope("GET", path), Peer()) is not None


def test_limits_can_be_off() -> None:
    built = limits(enabled=False)

    assert built.limit_for(scope("GET", "/plain"), Peer()) is None


def test_settings_replace_the_marks_of_endpoints() -> None:
    built = limits(
        routes={
            "POST /items": "unlimited",
            "/both": "9/60",
            "PUT /both": "8/60",
            "GET /items/{item_id:int}": "1/60",
            "/free": "4/60",
            "/files": "6/60",
            "GET /api/v1/orders/{order_id}/lines/{rest}": "2/60",
        }
    )

    assert quota_of(built, "POST", "/items") is None
    assert quota_of(built, "PUT", "/both") == Quota(8, 60, "PUT /both")
    assert quota_of(built, "PATCH", "/both") == Quota(9, 60, "/both")
    assert quota_of(built, "GET", "/items/7") == Quota(1, 60, "GET /items/{item_id}")
    assert quota_of(built, "GET", "/free") == Quota(4, 60, "/free")
    assert quota_of(built, "GET", "/files/a/b") == Quota(6, 60, "/files")
    assert quota_of(built, "GET", "/api/v1/orders/4/lines/a") == Quota(
        2, 60, "GET /api/v1/orders/{order_id}/lines/{rest}"
    )


@pytest.mark.parametrize(
    ("method", "path", "quota"),
    [
        ("POST", "/items", Quota(10, 60, "POST /items")),
        ("GET", "/whatever", Quota(5, 3_600, "/{anything}")),
        ("GET", "/plain", None),
        ("WEBSOCKET", "/live", Quota(3, 60, "WEBSOCKET /live")),
    ],
)
def test_the_environment_gives_routes_their_quotas(
    tmp_path: Path, method: str, path: str, quota: Quota | None
) -> None:
    said = (
        '{"POST /items": "10/60", "/{anything}": "5/hour", "GET /plain": "unlimited",'
        ' "WEBSOCKET /live": "3/60"}'
    )
    environ = {"RATE_LIMIT_ROUTES": said, "SECRETS_DIR": str(tmp_path), "CONFIG_DIR": str(tmp_path)}
    settings = load(ServiceSettings, environ=environ, directory=tmp_path)
    found = Limits(settings.rate_limiting, application().routes)

    assert quota_of(found, method, path) == quota


def test_the_environment_turns_limits_off(tmp_path: Path) -> None:
    environ = {"RATE_LIMITING_ENABLED": "false", "SECRETS_DIR": str(tmp_path), "CONFIG_DIR": str(tmp_path)}
    settings = load(ServiceSettings, environ=environ, directory=tmp_path)

    assert Limits(settings.rate_limiting).limit_for(scope("GET", "/plain"), Peer()) is None


def test_all_methods_of_a_route_share_one_count_where_none_is_named() -> None:
    built = limits(routes={"/both": "9/60"})
    counts = [built.limit_for(scope(method, "/both"), Peer()) for method in ("PUT", "PATCH")]

    assert counts == [("/both 203.0.113.7", Quota(9, 60, "/both"))] * 2


async def test_a_route_that_does_not_exist_is_told_when_the_service_starts() -> None:
    settings = ServiceSettings(rate_limiting=RateLimitSettings(routes={"GET /itemz": "1/60"}))
    app = create_app(settings)

    with capture_logs() as logs:
        async with running(app):
            warnings = [entry["route"] for entry in logs if entry["log_level"] == "warning"]
    assert warnings == ["GET /itemz"]


class ByTenant:
    """A bundle that tells clients apart by a header, whatever their addresses."""

    name = "tenants"
    requires = ()

    def register(self, environment: Environment) -> None:
        environment.rate_limit_key = lambda scope, _: str(dict(scope["headers"])[b"x-tenant"], "ascii")


async def asked(app: ASGIApp) -> list[int]:
    async with connect(app) as client:
        return [
            (await client.get("/orders", headers={"x-tenant": tenant})).status_code
            for tenant in ("acme", "acme", "other")
        ]


async def test_a_bundle_says_what_a_client_is_before_anything_authenticates() -> None:
    def refuse() -> None:
        raise Unauthorized

    router = APIRouter(dependencies=[Depends(refuse)])
    router.get("/orders")(answer)
    settings = ServiceSettings(rate_limiting=RateLimitSettings(requests=1))

    assert await asked(create_app(settings, bundles=[ByTenant()], routers=[router])) == [401, 429, 401]


async def test_a_bundle_says_what_a_client_of_a_wrapped_application_is() -> None:
    settings = ServiceSettings(rate_limiting=RateLimitSettings(requests=1))
    inside = Starlette(routes=[Route("/orders", lambda _: Response())])

    assert await asked(wrap(inside, settings, bundles=[ByTenant()])) == [200, 429, 200]


def test_head_counts_as_get_where_the_router_answers_both() -> None:
    built = limits(routes={"GET /plain": "1/60"})

    assert quota_of(built, "HEAD", "/plain") == quota_of(built, "GET", "/plain") != DEFAULT


def test_a_setting_for_a_route_that_does_not_exist_is_a_warning() -> None:
    with capture_logs() as logs:
        built = limits(routes={"GET /itemz": "1/60"})

    assert [(entry["log_level"], entry["route"]) for entry in logs] == [("warning", "GET /itemz")]
    assert quota_of(built, "GET", "/itemz") == DEFAULT


def test_a_mark_in_a_mounted_application_is_a_warning() -> None:
    inner = FastAPI()
    inner.get("/limited")(rate_limit("2/60")(answer_once))
    outer = FastAPI()
    outer.mount("/inner", inner)
    app = FastAPI()
    app.mount("/outer", outer)
    with capture_logs() as logs:
        built = Limits(RateLimitSettings(), app.routes)

    assert [(entry["log_level"], entry["route"], entry["mount"]) for entry in logs] == [
        ("warning", "/outer/inner/limited", "/outer/inner")
    ]
    assert quota_of(built, "GET", "/outer/inner/limited") == DEFAULT


@pytest.mark.parametrize(
    ("method", "path", "quota"),
    [
        ("POST", "/items\n", Quota(3, 3_600, "POST /items")),
        ("GET", "/items/7\n", Quota(10, 60, "GET /items/{item_id}")),
        ("GET", "/free\n", None),
        ("POST", "/items\n\n", DEFAULT),
    ],
)
def test_a_line_feed_at_the_end_is_no_way_around_a_quota(method: str, path: str, quota: Quota | None) -> None:
    assert quota_of(limits(), method, path) == quota


def test_the_prefix_an_application_is_mounted_under_is_no_part_of_the_path() -> None:
    built = limits()

    assert built.limit_for(scope("GET", "/orders/health", root_path="/orders"), Peer()) is None
    assert built.limit_for(scope("GET", "/health", root_path="/orders"), Peer()) is None
    below = scope("POST", "/orders/items", root_path="/orders")
    beside = scope("POST", "/ordersitems", root_path="/orders")
    assert built.limit_for(below, Peer()) == (
        "POST /items 203.0.113.7",
        Quota(3, 3_600, "POST /items"),
    )
    assert built.limit_for(beside, Peer()) == ("203.0.113.7", DEFAULT)
    assert (built.route_of(below), built.route_of(beside)) == ("/items", "unmatched")


def test_a_websocket_has_no_method() -> None:
    limit = limits().limit_for({"type": "websocket", "path": "/live", "headers": []}, Peer())

    assert limit == ("WEBSOCKET /live 203.0.113.7", Quota(2, 60, "WEBSOCKET /live"))


def test_clients_can_be_told_apart_by_something_else() -> None:
    def by_tenant(scope: Any, _: object) -> str:
        return str(dict(scope["headers"])[b"x-tenant"], "ascii")

    built = Limits(RateLimitSettings(), key=by_tenant)
    short = built.limit_for(scope("GET", "/", headers=[(b"x-tenant", b"acme")]), Peer())
    long = built.limit_for(scope("GET", "/", headers=[(b"x-tenant", b"a" * 10_000)]), Peer())

    assert short == ("acme", DEFAULT)
    assert long is not None
    assert len(long[0]) == 32


@pytest.mark.parametrize(
    ("decision", "quota", "policy", "state"),
    [
        (Decision(True, 100, 50, 30, 0), DEFAULT, b'"default";q=100;w=60', b'"default";r=50;t=30'),
        (Decision(False, 100, 0, 60, 7), DEFAULT, b'"default";q=100;w=60', b'"default";r=0;t=7'),
        (
            Decision(True, 3, 2, 1200, 0),
            Quota(3, 3_600, 'GET /a"\\é{b}'),
            b'"GET /a%22%5C%C3%A9{b}";q=3;w=3600',
            b'"GET /a%22%5C%C3%A9{b}";r=2;t=1200',
        ),
    ],
)
def test_clients_are_told_in_the_fields_of_the_draft(
    decision: Decision, quota: Quota, policy: bytes, state: bytes
) -> None:
    assert limits().headers(decision, quota) == ((b"ratelimit-policy", policy), (b"ratelimit", state))


def test_a_mark_that_is_no_quota_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="'10' is no quota"):
        rate_limit("10")


@pytest.mark.parametrize(
    "routes", [{"GET items": "1/60"}, {"get /items": "1/60"}, {"GET /items": "1"}, {"/a b": "1/60"}]
)
def test_settings_that_say_nothing_are_refused(routes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        RateLimitSettings(routes=routes)
