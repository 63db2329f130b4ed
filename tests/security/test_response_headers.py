"""No response leaves without its headers, whatever it is: against a whole service."""

import pytest
from fastapi import APIRouter
from starlette.testclient import TestClient

from chassis.app import create_app
from chassis.ratelimit import RateLimitSettings, rate_limit
from chassis.security import SecuritySettings
from chassis.service_settings import EnvironmentName, ServiceSettings

APP = "https://app.example.com"
REQUIRED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-permitted-cross-domain-policies": "none",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
router = APIRouter()


@router.get("/items/{item_id}")
async def read(item_id: int) -> int:
    return item_id


@router.get("/crash")
async def crash() -> None:
    raise RuntimeError("a secret of the service")


@router.post("/rare")
@rate_limit("1/day")
async def rare(body: dict[str, str]) -> None: ...


@pytest.fixture
def client() -> TestClient:
    settings = ServiceSettings(
        security=SecuritySettings(cors_origins=(APP,), max_body_bytes=100, allowed_hosts=("orders",)),
        rate_limiting=RateLimitSettings(requests=1_000),
    )
    app = create_app(settings, routers=[router])
    return TestClient(app, base_url="http://orders", raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/items/7", 200),
        ("GET", "/items/seven", 422),
        ("DELETE", "/items/7", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/crash", 500),
        ("GET", "/health/live", 200),
        ("GET", "/openapi.json", 200),
    ],
)
def test_every_response_has_the_headers(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path)

    assert response.status_code == status
    assert {name: response.headers.get(name) for name in REQUIRED} == REQUIRED
    assert "server" not in response.headers


def test_refusals_have_the_headers(client: TestClient) -> None:
    too_large = client.post("/rare", content=b"x" * 101)
    wrong_host = client.get("/items/7", headers={"host": "evil.net"})
    client.post("/rare", json={})
    too_many = client.post("/rare", json={})

    assert [r.status_code for r in (too_large, wrong_host, too_many)] == [413, 400, 429]
    for response in (too_large, wrong_host, too_many):
        assert {name: response.headers.get(name) for name in REQUIRED} == REQUIRED
        assert response.headers["content-type"] == "application/problem+json"


def test_a_refused_request_is_told_when_to_come_back(client: TestClient) -> None:
    client.post("/rare", json={})
    refused = client.post("/rare", json={})

    assert refused.headers.get_list("retry-after") == ["86400"]
    assert refused.headers["ratelimit-policy"] == '"POST /rare";q=1;w=86400'
    assert refused.headers["ratelimit"] == '"POST /rare";r=0;t=86400'
    assert refused.json()["code"] == "TOO_MANY_REQUESTS"


def test_a_body_whose_length_is_not_declared_is_limited_too(client: TestClient) -> None:
    response = client.post("/rare", content=iter([b"x" * 60, b"x" * 60]))

    assert response.status_code == 413


def test_a_body_may_be_of_any_size_when_the_limit_is_off() -> None:
    settings = ServiceSettings(security=SecuritySettings(max_body_bytes=0))
    client = TestClient(create_app(settings, routers=[router]))

    assert client.post("/rare", json={"note": "x" * 2 * 2**20}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/items/7", "/items/7/", "/items/seven", "/nowhere", "/crash", "/openapi.json", "/docs", "/health"],
)
def test_no_answer_holds_the_host_that_was_asked_for(path: str) -> None:
    app = create_app(ServiceSettings(), routers=[router])
    client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
    response = client.get(path, headers={"host": "evil.net"})

    assert "evil" not in f"{response.headers} {response.text}"


def test_two_hosts_are_none(client: TestClient) -> None:
    hosts = [("host", "orders"), ("host", "orders")]

    assert client.get("/items/7", headers=hosts).status_code == 400


def test_probes_are_answered_for_any_host(client: TestClient) -> None:
    assert client.get("/health/live", headers={"host": "10.244.0.17:8000"}).status_code == 200


def test_a_crash_tells_nothing(client: TestClient) -> None:
    response = client.get("/crash")

    assert "secret" not in response.text
    assert response.json()["code"] == "INTERNAL_ERROR"
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_pages_of_allowed_origins_can_read_errors_too(client: TestClient) -> None:
    for path in ("/items/7", "/nowhere", "/crash"):
        response = client.get(path, headers={"origin": APP})
        assert response.headers["access-control-allow-origin"] == APP
        assert "Origin" in response.headers["vary"]
        assert (
            "access-control-allow-origin"
            not in client.get(path, headers={"origin": "https://evil.net"}).headers
        )


def test_a_preflight_is_answered_before_the_application(client: TestClient) -> None:
    asked = {
        "origin": APP,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }

    assert client.options("/rare", headers=asked).status_code == 204
    assert client.options("/rare", headers={**asked, "origin": "https://evil.net"}).status_code == 403


def test_the_documentation_has_a_policy_of_its_own(client: TestClient) -> None:
    policies = client.get("/docs").headers.get_list("content-security-policy")

    assert len(policies) == 1
    assert "script-src 'self'" in policies[0]


@pytest.mark.parametrize(
    ("environment", "enabled", "status"),
    [
        (EnvironmentName.DEVELOPMENT, None, 200),
        (EnvironmentName.DEVELOPMENT, False, 404),
        (EnvironmentName.STAGING, None, 200),
        (EnvironmentName.PRODUCTION, None, 404),
        (EnvironmentName.PRODUCTION, True, 200),
    ],
)
def test_the_documentation_is_off_in_production_unless_it_is_asked_for(
    environment: EnvironmentName, enabled: bool | None, status: int
) -> None:
    settings = ServiceSettings(environment=environment, security=SecuritySettings(docs_enabled=enabled))
    client = TestClient(create_app(settings))

    assert client.get("/docs").status_code == client.get("/openapi.json").status_code == status


def test_what_the_application_sets_is_left_alone(client: TestClient) -> None:
    assert client.get("/docs/assets/start.js").headers.get_list("cache-control") == ["public, max-age=3600"]
