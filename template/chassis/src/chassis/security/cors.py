"""Cross-origin access: which web pages of other origins may read responses.

Without ``CORS_ORIGINS`` no header is sent and browsers keep every other origin out.
Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from starlette.types import Scope

from chassis.security.settings import SecuritySettings

__all__ = ["Cors", "Preflight"]

Header = tuple[bytes, bytes]

_EXPOSED: Final = b"RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
_VARY: Final = (b"vary", b"Origin")
_VARY_PREFLIGHT: Final = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")


class Preflight(NamedTuple):
    """The answer to a browser's question whether a request may be sent; it has no body."""

    status: int
    headers: Sequence[Header]


class Cors:
    """Answers preflight requests and marks responses. ``active`` is False when no origin is allowed."""

    def __init__(self, settings: SecuritySettings) -> None:
        origins = settings.cors_origins
        self.active = bool(origins)
        self._any = "*" in origins
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._methods = frozenset(method.encode("ascii") for method in settings.cors_methods)
        self._headers = frozenset(header.lower().encode("ascii") for header in settings.cors_headers)
        self._credentials: tuple[Header, ...] = (
            ((b"access-control-allow-credentials", b"true"),) if settings.cors_credentials else ()
        )
        self._granted: tuple[Header, ...] = (
            (b"access-control-allow-methods", ", ".join(settings.cors_methods).encode("ascii")),
            (b"access-control-allow-headers", ", ".join(settings.cors_headers).encode("ascii")),
            (b"access-control-max-age", str(settings.cors_max_age).encode("ascii")),
        )

    def headers_for(self, origin: bytes | None) -> tuple[Header, ...]:
        """Return the headers of a response to a request with this Origin header, None for no such header.

        They are added beside what the application set: a second ``Vary`` line extends the first.
        """
        if not self.active:
            return ()
        if self._any:
            return ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED))
        if origin is None or origin not in self._origins:
            # A cache must not give this answer to a page of an allowed origin.
            return (_VARY,)
        return (
            (b"access-control-allow-origin", origin),
            *self._credentials,
            (b"access-control-expose-headers", _EXPOSED),
            _VARY,
        )

    def preflight(self, scope: Scope) -> Preflight | None:
        """Return the answer to a preflight request; None for every other request.

        A request that may not be sent gets 403 and no grant. Browsers go by the missing grant.
        """
        if not self.active or scope.get("method") != "OPTIONS":
            return None
        asked = _asked(scope["headers"])
        origin, method = asked.get(b"origin"), asked.get(b"access-control-request-method")
        if origin is None or method is None:
            return None
        wanted = asked.get(b"access-control-request-headers", b"").lower().split(b",")
        if (
            (self._any or origin in self._origins)
            and method in self._methods
            and self._headers.issuperset(name for part in wanted if (name := part.strip()))
        ):
            allowed = (b"access-control-allow-origin", b"*" if self._any else origin)
            return Preflight(204, (allowed, *self._credentials, *self._granted, _VARY_PREFLIGHT))
        return Preflight(403, (_VARY_PREFLIGHT,))


def _asked(headers: Iterable[Header]) -> dict[bytes, bytes]:
    return {
        name: value for name, value in headers if name == b"origin" or name.startswith(b"access-control-")
    }
