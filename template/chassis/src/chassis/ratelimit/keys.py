"""What counts as one client."""

import functools
from hashlib import blake2b
from ipaddress import IPv6Network
from typing import Final, Protocol

from starlette.types import Scope

__all__ = ["LONGEST_KEY", "HasAddress", "Key", "bounded", "by_address", "client_key"]

LONGEST_KEY: Final = 64
"""Characters; a longer key is replaced by its digest, so that no client decides how much is stored."""


class HasAddress(Protocol):
    """The client of a request, its address in canonical form."""

    @property
    def address(self) -> str:
        """The address."""


class Key(Protocol):
    """Names the client that a request counts for. It runs on every request, before the application."""

    def __call__(self, scope: Scope, peer: HasAddress, /) -> str:
        """Return the name; equal names share a quota."""


def by_address(_: Scope, peer: HasAddress, /) -> str:
    """Count by the client's address: the default."""
    return client_key(peer.address)


@functools.lru_cache(4_096)
def client_key(address: str) -> str:
    """Return what addresses of one client have in common.

    An IPv4 address is a client. An IPv6 client owns at least a /64 (RFC 6177) and could send each request
    from another address, so it is known by that network.
    """
    if ":" not in address:
        return bounded(address)
    try:
        return str(IPv6Network((address, 64), strict=False).network_address) + "/64"
    except ValueError:
        return bounded(address)


def bounded(key: str) -> str:
    """Return a key of at most ``LONGEST_KEY`` characters: a longer one as its digest, any other as it is.

    An API key that is not longer is kept in clear, in memory.
    """
    if len(key) <= LONGEST_KEY:
        return key
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
