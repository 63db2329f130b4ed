from typing import Any

import pytest
from pydantic import ValidationError

from chassis.security import SecuritySettings


def read(**settings: object) -> SecuritySettings:
    return SecuritySettings.model_validate(settings)


def test_nothing_is_open_by_default() -> None:
    settings = SecuritySettings()

    assert settings.trusted_proxies == ()
    assert settings.cors_origins == ()
    assert settings.max_body_bytes == 1_048_576
    assert list(settings.production_mistakes()) == []


def test_a_proxy_is_an_address_or_a_network_or_a_unix_socket() -> None:
    named = ["10.0.0.1", "10.0.0.0/8", "fd00::/8", "unix"]

    assert [str(proxy) for proxy in read(trusted_proxies=named).trusted_proxies] == [
        "10.0.0.1/32",
        *named[1:],
    ]


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("64:ff9b::/96", "64:ff9b::/96"),
    ],
)
def test_a_proxy_may_be_named_as_a_dual_stack_socket_names_it(named: str, meant: str) -> None:
    assert [str(proxy) for proxy in read(trusted_proxies=[named]).trusted_proxies] == [meant]


def test_origins_and_hosts_are_normalised() -> None:
    settings = read(
        cors_origins=["https://App.Example.com/"], allowed_hosts=["API.example.com.", "[2001:db8::1]"]
    )

    assert settings.cors_origins == ("https://app.example.com",)
    assert settings.allowed_hosts == ("api.example.com", "2001:db8::1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "proxy.internal"),
        ("trusted_proxies", "*"),
        ("cors_origins", "app.example.com"),
        ("cors_origins", "https://app.example.com/path"),
        ("cors_origins", "https://*.example.com"),
        ("cors_origins", "null"),
        ("cors_origins", "https://a\r\nb"),
        ("cors_methods", "GET\r\n"),
        ("cors_headers", "X Y"),
        ("allowed_hosts", "https://api.example.com"),
        ("allowed_hosts", "api.example.com:80"),
        ("allowed_hosts", "a.*.example.com"),
        ("allowed_hosts", ""),
    ],
)
def test_a_value_that_would_do_nothing_or_harm_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        read(**{name: [value]})


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_hosts": []},
        {"max_body_bytes": -1},
        {"hsts_seconds": -1},
        {"cors_max_age": 1_000_000},
        {"content_security_policy": "default-src 'none'\r\nx: y"},
        {"content_security_policy": "default-src é"},
        {"cors_origins": ["*"], "cors_credentials": True},
    ],
)
def test_a_setting_out_of_bounds_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**settings)


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ({"cors_origins": ["*"]}, ["CORS_ORIGINS"]),
        ({"trusted_proxies": ["0.0.0.0/0"]}, ["TRUSTED_PROXIES"]),
        ({"trusted_proxies": ["unix", "::/0"]}, ["TRUSTED_PROXIES"]),
        ({"trusted_proxies": ["::ffff:0:0/96"]}, ["TRUSTED_PROXIES"]),
        ({"trusted_proxies": ["unix", "10.0.0.0/8"], "cors_origins": ["https://app.example.com"]}, []),
        ({"cors_origins": ["*"], "trusted_proxies": ["0.0.0.0/0"]}, ["CORS_ORIGINS", "TRUSTED_PROXIES"]),
    ],
)
def test_production_refuses_what_is_open_to_everyone(settings: dict[str, Any], variables: list[str]) -> None:
    assert [mistake.variable for mistake in read(**settings).production_mistakes()] == variables
