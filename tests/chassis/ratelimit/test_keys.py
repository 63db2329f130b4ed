from ipaddress import IPv6Address, ip_network
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ratelimit import by_address, client_key
from chassis.ratelimit.keys import LONGEST_KEY, bounded


class Peer(NamedTuple):
    address: str


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("unix", "unix"),
        ("testclient", "testclient"),
        ("a:b", "a:b"),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str, key: str) -> None:
    assert client_key(address) == key
    assert by_address({}, Peer(address)) == key


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_ipv6_clients_are_known_by_their_network(network: int, one: int, other: int) -> None:
    first, second = (IPv6Address((network << 64) | host) for host in (one, other))

    assert client_key(str(first)) == client_key(str(second)) == str(ip_network((network << 64, 64)))


@given(st.text(max_size=200))
def test_a_key_is_short(key: str) -> None:
    assert len(bounded(key)) <= LONGEST_KEY
    assert bounded(key) == key or len(key) > LONGEST_KEY


def test_long_keys_stay_apart_and_are_not_kept_in_clear() -> None:
    secret: Any = "k" * 100

    assert bounded(secret) != bounded(secret + "x")
    assert "kk" not in bounded(secret)
    assert bounded("\ud800" * 100)
