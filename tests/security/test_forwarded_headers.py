"""Attacks on the client's address and scheme, against a whole service over its ASGI interface."""

from ipaddress import ip_network

import pytest
from starlette.testclient import TestClient

from chassis.app import create_app
from chassis.ratelimit import RateLimitSettings
from chassis.security import SecuritySettings
from chassis.service_settings import ServiceSettings

STRANGER = "203.0.113.7"
PROXY = "10.0.0.1"


def service(client: str) -> TestClient:
    settings = ServiceSettings(
        security=SecuritySettings(trusted_proxies=(ip_network("10.0.0.0/8"),)),
        rate_limiting=RateLimitSettings(requests=2, window=3_600),
    )
    return TestClient(create_app(settings), client=(client, 4711))


def statuses(client: TestClient, lies: list[dict[str, str]]) -> list[int]:
    return [client.get("/nowhere", headers=lie).status_code for lie in lies]


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "X-Real-IP",
        "Forwarded",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Forwarded",
    ],
)
def test_no_header_gives_a_stranger_another_quota(header: str) -> None:
    lies = [{header: f"for=198.51.100.{n}" if header == "Forwarded" else f"198.51.100.{n}"} for n in range(4)]

    assert statuses(service(STRANGER), lies) == [404, 404, 429, 429]


def test_what_a_client_sends_through_a_proxy_gives_it_no_other_quota() -> None:
    lies = [{"X-Forwarded-For": f"198.51.100.{n}, {STRANGER}"} for n in range(4)]

    assert statuses(service(PROXY), lies) == [404, 404, 429, 429]


def test_pretending_to_be_a_proxy_gives_no_other_quota() -> None:
    lies = [{"X-Forwarded-For": f"198.51.100.{n}, 10.9.9.9, {STRANGER}"} for n in range(4)]

    assert statuses(service(PROXY), lies) == [404, 404, 429, 429]


def test_addresses_of_one_ipv6_network_share_a_quota() -> None:
    hosts = [{"X-Forwarded-For": f"2001:db8::{n}"} for n in range(1, 5)]

    assert statuses(service(PROXY), hosts) == [404, 404, 429, 429]


def test_spellings_of_one_address_share_a_quota() -> None:
    spellings = [STRANGER, f"::ffff:{STRANGER}", f"{STRANGER}:80", "::ffff:cb00:7107"]

    assert statuses(service(PROXY), [{"X-Forwarded-For": s} for s in spellings]) == [404, 404, 429, 429]


def test_a_proxy_speaks_for_many_clients() -> None:
    clients = [{"X-Forwarded-For": f"198.51.100.{n}"} for n in range(4)]

    assert statuses(service(PROXY), clients) == [404, 404, 404, 404]


@pytest.mark.parametrize("header", [{"X-Forwarded-Host": "orders"}, {"Forwarded": "host=orders"}])
def test_a_proxy_cannot_say_that_another_host_was_asked_for(header: dict[str, str]) -> None:
    settings = ServiceSettings(
        security=SecuritySettings(
            trusted_proxies=(ip_network("10.0.0.0/8"),), allowed_hosts=("orders",), hsts_seconds=0
        )
    )
    client = TestClient(create_app(settings), client=(PROXY, 4711))

    assert client.get("/nowhere", headers={"Host": "evil.net", **header}).status_code == 400


def test_https_is_demanded_behind_a_proxy_that_says_so() -> None:
    response = service(PROXY).get("/", headers={"X-Forwarded-Proto": "https"})

    assert response.headers["strict-transport-security"] == "max-age=31536000"


def test_a_stranger_cannot_say_so() -> None:
    response = service(STRANGER).get("/", headers={"X-Forwarded-Proto": "https"})

    assert "strict-transport-security" not in response.headers
