"""The security headers of every response, prepared once.

What each one is for: docs/reference/security.md. Sources:
https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers
"""

from collections.abc import Sequence
from typing import Final

from chassis.security.hosts import AllowedHosts
from chassis.security.settings import SecuritySettings

__all__ = ["SecurityHeaders"]

Header = tuple[bytes, bytes]

_ALWAYS: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-permitted-cross-domain-policies", b"none"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class SecurityHeaders:
    """Headers to add to a response, each unless the application set that header itself.

    ``any_host`` is True when ``host_allowed`` would allow every host.
    """

    def __init__(self, settings: SecuritySettings) -> None:
        policy = settings.content_security_policy
        plain = (*_ALWAYS, (b"content-security-policy", policy.encode("ascii"))) if policy else _ALWAYS
        self._plain: tuple[Header, ...] = plain
        self._secure = (*plain, *_hsts(settings))
        hosts = AllowedHosts(settings.allowed_hosts)
        self.host_allowed = hosts.allow
        self.any_host = hosts.any

    def headers_for(self, scheme: str) -> Sequence[Header]:
        """Return the headers of a response to a client that came by this scheme.

        Strict-Transport-Security is among them only for https and wss: RFC 6797, 7.2.
        """
        return self._secure if scheme in {"https", "wss"} else self._plain


def _hsts(settings: SecuritySettings) -> tuple[Header, ...]:
    if not settings.hsts_seconds:
        return ()
    value = f"max-age={settings.hsts_seconds}"
    if settings.hsts_include_subdomains:
        value += "; includeSubDomains"
    return ((b"strict-transport-security", value.encode("ascii")),)
