import pytest

from chassis.security import SecurityHeaders, SecuritySettings


def sent(scheme: str = "http", **settings: object) -> dict[str, str]:
    pairs = SecurityHeaders(SecuritySettings.model_validate(settings)).headers_for(scheme)
    assert len(dict(pairs)) == len(pairs)
    return {name.decode(): value.decode() for name, value in pairs}


def test_the_headers_of_every_response() -> None:
    assert sent() == {
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


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_https_is_demanded_over_https(scheme: str) -> None:
    assert sent(scheme)["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("scheme", ["http", "ws", ""])
def test_https_is_not_demanded_over_http(scheme: str) -> None:
    assert "strict-transport-security" not in sent(scheme)


def test_https_can_be_demanded_of_subdomains_for_another_time() -> None:
    headers = sent("https", hsts_seconds=60, hsts_include_subdomains=True)

    assert headers["strict-transport-security"] == "max-age=60; includeSubDomains"


def test_https_need_not_be_demanded() -> None:
    assert "strict-transport-security" not in sent("https", hsts_seconds=0)


def test_the_policy_can_be_set_and_left_out() -> None:
    assert (
        sent(content_security_policy="default-src 'self'")["content-security-policy"] == "default-src 'self'"
    )
    assert "content-security-policy" not in sent(content_security_policy="")


def test_hosts_are_checked() -> None:
    headers = SecurityHeaders(SecuritySettings(allowed_hosts=("api.example.com",)))

    assert headers.host_allowed(b"api.example.com")
    assert not headers.host_allowed(b"evil.net")
