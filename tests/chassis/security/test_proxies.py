from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.security import Peer, TrustedProxies

PRIVATE = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
NOBODY = TrustedProxies()


def scope(client: str | None, *headers: tuple[str, str], scheme: str = "http") -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": scheme,
        "client": None if client is None else (client, 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", value) for value in values]


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        (None, "unix"),
        ("testclient", "testclient"),
    ],
)
def test_the_peer_has_a_canonical_address(client: str | None, address: str) -> None:
    assert NOBODY.resolve(scope(client)) == Peer(address, "http")
    assert PRIVATE.resolve(scope(client)) == Peer(address, "http")


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        ([" 203.0.113.7 "], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["2001:DB8::1"], "2001:db8::1"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1", "203.0.113.7", "10.1.1.1"], "203.0.113.7"),
        (["203.0.113.7, 10.1.1.1, 10.2.2.2"], "203.0.113.7"),
        (["203.0.113.7, fd00::5"], "203.0.113.7"),
        (["203.0.113.7, ::ffff:10.1.1.1"], "203.0.113.7"),
        (["10.1.1.1"], "10.1.1.1"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
    ],
)
def test_a_trusted_proxy_tells_the_client(values: list[str], address: str) -> None:
    assert PRIVATE.resolve(scope("10.0.0.1", *forwarded(*values))).address == address


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        ",",
        "unknown",
        "unix",
        "_hidden",
        "203.0.113",
        "203.0.113.7:port",
        "203.0.113.7:\xb2",
        "[2001:db8::1",
        "[203.0.113.7]",
        "[2001:db8::1]x",
        "fe80::1%eth0",
        "1" * 100_000,
        "\x00\xff\r\n",
        "0x7f.1",
        "2130706433",
    ],
)
def test_garbage_from_a_trusted_proxy_leaves_the_last_address_that_is_known(garbage: str) -> None:
    assert PRIVATE.resolve(scope("10.0.0.1", *forwarded(garbage))).address == "10.0.0.1"
    assert PRIVATE.resolve(scope("10.0.0.1", *forwarded(f"{garbage}, 10.2.2.2"))).address == "10.2.2.2"
    assert PRIVATE.resolve(scope("10.0.0.1", *forwarded(f"{garbage}, 203.0.113.7"))).address == "203.0.113.7"


def test_only_so_many_hops_are_followed() -> None:
    chain = ", ".join(["203.0.113.7", *["10.1.1.1"] * 10_000, "10.2.2.2"])

    assert PRIVATE.resolve(scope("10.0.0.1", *forwarded(chain))).address == "10.1.1.1"


@pytest.mark.parametrize(("hops", "address"), [(16, "203.0.113.7"), (17, "10.1.1.1")])
def test_at_most_sixteen_hops_are_followed(hops: int, address: str) -> None:
    chain = ["203.0.113.7", "10.1.1.1", *["10.2.2.2"] * (hops - 2)]

    assert PRIVATE.resolve(scope("10.0.0.1", *forwarded(*chain))).address == address


@pytest.mark.parametrize(
    "header",
    [
        ("forwarded", "for=203.0.113.7;proto=https;host=evil.net"),
        ("x-real-ip", "203.0.113.7"),
        ("x-forwarded-host", "evil.net"),
        ("x-forwarded-port", "443"),
    ],
)
def test_nothing_else_is_read_of_what_a_trusted_proxy_says(header: tuple[str, str]) -> None:
    assert PRIVATE.resolve(scope("10.0.0.1", header)) == Peer("10.0.0.1", "http")


def test_a_unix_socket_is_trusted_when_it_is_named() -> None:
    proxies = TrustedProxies(["unix"])
    spoken = [*forwarded("203.0.113.7"), ("x-forwarded-proto", "https")]

    assert proxies.resolve(scope(None, *spoken)) == Peer("203.0.113.7", "https")
    assert PRIVATE.resolve(scope(None, *spoken)) == Peer("unix", "http")


@pytest.mark.parametrize(
    ("own", "values", "chain", "scheme"),
    [
        ("http", ["https"], "203.0.113.7", "https"),
        ("http", ["HTTPS "], "203.0.113.7", "https"),
        ("https", ["http"], "203.0.113.7", "http"),
        ("http", ["gopher"], "203.0.113.7", "http"),
        ("https", [""], "203.0.113.7", "https"),
        ("http", [], "203.0.113.7", "http"),
        ("ws", ["https"], "203.0.113.7", "wss"),
        ("wss", ["http"], "203.0.113.7", "ws"),
        ("ws", ["wss"], "203.0.113.7", "wss"),
        # The client wrote the left one.
        ("http", ["https, http"], "203.0.113.7", "http"),
        ("http", ["https", "http"], "203.0.113.7", "http"),
        # Two proxies wrote both.
        ("http", ["https, http"], "203.0.113.7, 10.1.1.1", "https"),
        ("http", ["http, https, http"], "203.0.113.7, 10.1.1.1", "https"),
        # Two proxies, of which only one says it.
        ("http", ["https"], "203.0.113.7, 10.1.1.1", "https"),
    ],
)
def test_the_scheme_is_that_of_the_outermost_trusted_proxy(
    own: str, values: list[str], chain: str, scheme: str
) -> None:
    headers = [*forwarded(chain), *(("x-forwarded-proto", value) for value in values)]

    assert PRIVATE.resolve(scope("10.0.0.1", *headers, scheme=own)).scheme == scheme


NAMES = st.sampled_from(
    ["x-forwarded-for", "x-forwarded-proto", "x-real-ip", "forwarded", "x-forwarded-host", "x-client-ip"]
)
VALUES = st.one_of(
    st.ip_addresses().map(str),
    st.lists(st.ip_addresses().map(str)).map(", ".join),
    st.sampled_from(["https", "unix", "for=10.0.0.1;proto=https", "10.0.0.1", "", ","]),
    st.text(st.characters(max_codepoint=255)),
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@given(HEADERS, st.ip_addresses(v=4), st.sampled_from(["http", "https"]))
def test_no_header_of_an_untrusted_peer_changes_anything(
    headers: list[tuple[str, str]], client: Any, scheme: str
) -> None:
    if client in ip_network("10.0.0.0/8"):
        return
    spoken = scope(str(client), *headers, scheme=scheme)

    assert PRIVATE.resolve(spoken) == Peer(str(client), scheme)
    assert NOBODY.resolve(spoken) == Peer(str(client), scheme)


@given(st.lists(VALUES, max_size=4), st.ip_addresses())
def test_nothing_left_of_the_client_is_read(invented: list[str], client: Any) -> None:
    canonical = getattr(client, "ipv4_mapped", None) or client
    if canonical in ip_network("10.0.0.0/8") or canonical in ip_network("fd00::/8"):
        return
    appended = ", ".join([*invented, str(client).partition("%")[0]])

    assert PRIVATE.resolve(scope("10.0.0.1", *forwarded(appended))).address == str(canonical)


@given(HEADERS)
def test_a_trusted_proxy_always_gives_an_address(headers: list[tuple[str, str]]) -> None:
    peer = PRIVATE.resolve(scope("10.0.0.1", *headers))

    assert str(ip_address(peer.address)) == peer.address
    assert peer.scheme in {"http", "https"}
