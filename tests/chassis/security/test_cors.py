from typing import Any

import pytest

from chassis.security import Cors, SecuritySettings

APP = "https://app.example.com"


def cors(**settings: object) -> Cors:
    return Cors(SecuritySettings.model_validate({"cors_origins": [APP], **settings}))


def preflight(policy: Cors, **headers: str) -> tuple[int, dict[str, str]] | None:
    scope: dict[str, Any] = {
        "method": "OPTIONS",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    answer = policy.preflight(scope)
    if answer is None:
        return None
    return answer.status, {name.decode(): value.decode() for name, value in answer.headers}


def marked(policy: Cors, origin: bytes | None) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in policy.headers_for(origin)}


def test_without_origins_nothing_is_said() -> None:
    policy = cors(cors_origins=[])

    assert not policy.active
    assert marked(policy, APP.encode()) == {}
    assert preflight(policy, origin=APP, access_control_request_method="GET") is None


def test_a_page_of_an_allowed_origin_may_read() -> None:
    assert cors().active
    assert marked(cors(), APP.encode()) == {
        "access-control-allow-origin": APP,
        "access-control-expose-headers": "RateLimit, RateLimit-Policy, Retry-After, X-Request-ID",
        "vary": "Origin",
    }


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"null",
        b"https://evil.net",
        b"http://app.example.com",
        b"https://app.example.com:444",
        b"https://app.example.com.evil.net",
        b"https://evil.net/https://app.example.com",
        b"https://xapp.example.com",
        b"https://app.example.com, https://evil.net",
    ],
)
def test_no_other_page_may_read_and_caches_know_it(origin: bytes | None) -> None:
    assert marked(cors(), origin) == {"vary": "Origin"}


def test_a_star_lets_every_page_read_without_cookies() -> None:
    assert marked(cors(cors_origins=["*"]), b"https://evil.net") == {
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "RateLimit, RateLimit-Policy, Retry-After, X-Request-ID",
    }


def test_cookies_are_allowed_to_named_origins() -> None:
    policy = cors(cors_credentials=True)
    answer = preflight(policy, origin=APP, access_control_request_method="GET")

    assert marked(policy, APP.encode())["access-control-allow-credentials"] == "true"
    assert "access-control-allow-credentials" not in marked(policy, b"https://evil.net")
    assert answer is not None
    assert answer[1]["access-control-allow-credentials"] == "true"


def test_a_preflight_is_answered() -> None:
    answer = preflight(
        cors(cors_methods=["GET", "PUT"], cors_headers=["Authorization", "X-Tenant"], cors_max_age=60),
        origin=APP,
        access_control_request_method="PUT",
        access_control_request_headers="authorization, x-tenant",
    )

    assert answer == (
        204,
        {
            "access-control-allow-origin": APP,
            "access-control-allow-methods": "GET, PUT",
            "access-control-allow-headers": "Authorization, X-Tenant",
            "access-control-max-age": "60",
            "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        },
    )


def test_a_star_answers_every_preflight() -> None:
    answer = preflight(
        cors(cors_origins=["*"]), origin="https://evil.net", access_control_request_method="GET"
    )

    assert answer is not None
    assert answer[1]["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "asked",
    [
        {"origin": "https://evil.net", "access_control_request_method": "GET"},
        {"origin": APP, "access_control_request_method": "TRACE"},
        {"origin": APP, "access_control_request_method": "GET", "access_control_request_headers": "x-evil"},
    ],
)
def test_a_preflight_for_anything_else_grants_nothing(asked: dict[str, str]) -> None:
    answer = preflight(cors(), **asked)

    assert answer == (403, {"vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"})


@pytest.mark.parametrize("asked", [{}, {"origin": APP}, {"access_control_request_method": "GET"}])
def test_other_options_requests_go_to_the_application(asked: dict[str, str]) -> None:
    assert preflight(cors(), **asked) is None


def test_other_methods_go_to_the_application() -> None:
    assert cors().preflight({"method": "GET", "headers": [(b"origin", APP.encode())]}) is None
