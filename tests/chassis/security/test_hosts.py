import pytest

from chassis.security import AllowedHosts

HOSTS = AllowedHosts(["api.example.com", "*.example.org", "2001:db8::1", "192.0.2.1"])


@pytest.mark.parametrize(
    "host",
    [
        b"api.example.com",
        b"API.example.COM",
        b"api.example.com:8443",
        b"api.example.com.",
        b"a.example.org",
        b"a.b.example.org:80",
        b"[2001:db8::1]",
        b"[2001:db8::1]:8000",
        b"192.0.2.1:8000",
    ],
)
def test_a_listed_host_is_answered(host: bytes) -> None:
    assert HOSTS.allow(host)


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"example.com",
        b"example.org",
        b".example.org",
        b"api.example.com.evil.net",
        b"evil.net",
        b"evil-example.org",
        b"evil.net:api.example.com",
        b"api.example.com@evil.net",
        b"api.example.com\x00.evil.net",
        b"api.example.com/evil.net",
        b"api.example.com:80@evil.net",
        b"api.example.com,evil.net",
        b"evil.net,a.example.org",
        b"evil.net/.example.org",
        b"evil.net@a.example.org",
        b"evil.net?.example.org",
        b"[2001:db8::1]evil.net",
        b"[api.example.com]",
        b"api.example.com:80:80",
        b"[::1]",
        b"\xff\xfe",
        b"*",
        b"*.example.com",
    ],
)
def test_any_other_host_is_not(host: bytes) -> None:
    assert not HOSTS.allow(host)


@pytest.mark.parametrize("host", [b"", b"anything", b"[::1]:80"])
def test_a_star_answers_every_host(host: bytes) -> None:
    assert AllowedHosts(["*"]).allow(host)


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/health", True),
        ("/health/live", True),
        ("/health/ready", True),
        ("/health/detailed", False),
        ("/healthx", False),
    ],
)
def test_probes_are_answered_for_any_host(path: str, answered: bool) -> None:
    assert HOSTS.allow(b"10.244.0.17:8000", path) is answered
