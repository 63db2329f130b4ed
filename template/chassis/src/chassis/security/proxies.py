"""Who the client is. Headers that anyone can send count only when a trusted proxy sent them.

``X-Forwarded-For`` is read from right to left. The rightmost entry was written by the proxy next to the
service; each further one counts only while the hop that wrote it is trusted. The first address that is no
trusted proxy is the client; what stands left of it was sent by the client and is never read.

Not supported: ``Forwarded`` (RFC 7239), ``X-Real-IP``, ``X-Forwarded-Host``, ``X-Forwarded-Port``. They are
ignored: a second way to say the same thing is a second way to lie.

Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#security_and_privacy_concerns
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

from starlette.types import Scope

__all__ = ["MOST_HOPS", "UNIX", "Peer", "TrustedProxies"]

UNIX: Final = "unix"
"""The address of a client on a Unix socket, and its name in ``TRUSTED_PROXIES``."""
MOST_HOPS: Final = 16
"""Entries of ``X-Forwarded-For`` that are followed, counted from the right."""

_LONGEST_ENTRY: Final = 64  # "[" + 39 + "]:65535" fits; anything longer is no address
_CACHED: Final = 4_096
_SECURE: Final = {"https": True, "wss": True, "http": False, "ws": False}


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, as the client and not as the proxy in between.

    ``address`` is in its canonical form: ``203.0.113.7``, ``2001:db8::1``, or ``unix``. ``scheme`` is the
    client's: http or https, for WebSockets ws or wss.
    """

    address: str
    scheme: str


class TrustedProxies:
    """Finds the client behind the proxies of the given networks; without any, the peer is the client."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network | Literal["unix"]] = ()) -> None:
        every = tuple(networks)
        self._trust_unix = UNIX in every
        self._networks = tuple(network for network in every if not isinstance(network, str))
        self._trusts_any = bool(every)
        # Bounded, so that many addresses cost time and not memory.
        self._known = functools.lru_cache(_CACHED)(self._look_up)

    def resolve(self, scope: Scope) -> Peer:
        """Return the client of an ASGI scope. It never raises, whatever the headers contain."""
        client = scope.get("client")
        host = client[0] if client else UNIX
        scheme = scope.get("scheme", "http")
        if not self._trusts_any:
            return _peer(host, scheme)
        address, trusted = self._known(host)
        if not trusted:
            return _peer(host, scheme)
        forwarded: list[bytes] = []
        schemes: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                forwarded.append(value)
            elif name == b"x-forwarded-proto":
                schemes.append(value)
        hops = 1
        # Several lines of one field are one list, in their order: RFC 9110, 5.3.
        for entry in reversed(b",".join(forwarded).rsplit(b",", MOST_HOPS)[-MOST_HOPS:]):
            found = self._known(text) if (text := _entry(entry)) else None
            if found is None or not found[0]:
                break
            address, trusted = found
            if not trusted:
                break
            hops += 1
        return _peer(address, _scheme(scheme, schemes, hops))

    def _look_up(self, text: str) -> tuple[str, bool]:
        """Return the canonical address, empty for no address, and whether it is a trusted proxy."""
        if text == UNIX:
            return text, self._trust_unix
        address = _parse(text)
        if address is None:
            return "", False
        return str(address), any(address in network for network in self._networks)


@functools.lru_cache(_CACHED)
def _peer(host: str, scheme: str) -> Peer:
    if host == UNIX or (address := _parse(host)) is None:
        return Peer(host, scheme)
    return Peer(str(address), scheme)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # A zone names an interface of this machine and is no part of the address.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _entry(raw: bytes) -> str:
    """Return the address of an entry without brackets and port; empty for what cannot be one."""
    raw = raw.strip()
    if len(raw) > _LONGEST_ENTRY:
        return ""
    text = raw.decode("latin-1")
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        return text if bracket and ":" in text and _is_port(port) else ""
    if text.count(":") == 1:
        text, colon, port = text.partition(":")
        return text if _is_port(colon + port) else ""
    return "" if text == UNIX or "%" in text else text


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit())


def _scheme(own: str, forwarded: list[bytes], hops: int) -> str:
    """Return the scheme that the outermost trusted proxy saw, told by the entry it wrote."""
    if not forwarded:
        return own
    entries = b",".join(forwarded).rsplit(b",", MOST_HOPS)[-MOST_HOPS:]
    secure = _SECURE.get(entries[max(0, len(entries) - hops)].strip().lower().decode("latin-1"))
    if secure is None:
        return own
    if own in {"ws", "wss"}:
        return "wss" if secure else "ws"
    return "https" if secure else "http"
