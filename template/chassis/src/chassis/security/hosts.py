"""Which Host headers are answered. An unknown one is how caches and links in mails get poisoned."""

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["PROBES", "AllowedHosts"]

PROBES: Final = frozenset({"/health", "/health/live", "/health/ready"})
"""Paths answered for any host: a kubelet calls a pod by its address, which no list can contain."""

# Nothing else of RFC 3986: what reads "evil.net/.example.com" as a link would go to evil.net.
_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]*)?", re.ASCII)


class AllowedHosts:
    """The hosts of a service: exact names, ``*.example.com`` for subdomains of any depth, ``*`` for all.

    ``*.example.com`` does not contain ``example.com`` itself. ``any`` is True when every host is answered.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        names = {pattern.lower() for pattern in patterns}
        self.any = "*" in names
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._names = frozenset(name for name in names if not name.startswith("*"))

    def allow(self, host: bytes, path: str = "") -> bool:
        """Return whether a request with this Host header is answered; its port does not matter."""
        if self.any or path in PROBES:
            return True
        found = _HOST.fullmatch(host.decode("latin-1").lower())
        if found is None:
            return False
        name = found["address"] or found["name"].removesuffix(".")
        return name in self._names or (name.endswith(self._suffixes) and not name.startswith("."))
