"""Which request counts against which quota, decided before the application routes it.

The routes are read once and matched by their own expressions in their own order, so that a request is
limited as the route that will answer it. Without any exception from the default quota nothing is matched.

Header fields: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from re import Pattern
from typing import Any, Final, TypeVar
from urllib.parse import quote

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.types import Scope

from chassis.ratelimit.keys import HasAddress, Key, bounded, by_address, client_key
from chassis.ratelimit.quota import UNLIMITED, Decision, Quota
from chassis.ratelimit.settings import RateLimitSettings
from chassis.structured import structlog

__all__ = ["ANY", "EXEMPT", "UNMATCHED", "WEBSOCKET", "Limits", "rate_limit"]

EXEMPT: Final = frozenset({"/health", "/health/live", "/health/ready", "/health/detailed", "/metrics"})
"""Paths that are never limited: an orchestrator that is refused would stop a healthy service."""
UNMATCHED: Final = "unmatched"
WEBSOCKET: Final = "WEBSOCKET"
"""What stands for the method of a WebSocket connection in ``RATE_LIMIT_ROUTES``."""

ANY: Final = "*"

_MARK: Final = "__chassis_rate_limit__"
_CONVERTOR: Final = re.compile(r":[a-zA-Z_][a-zA-Z0-9_]*\}")
_STRING_SAFE: Final = " !#$&'()*+,-./:;<=>?@[]^_`{|}~"

Header = tuple[bytes, bytes]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def rate_limit(quota: str | None) -> Callable[[Endpoint], Endpoint]:
    """Give an endpoint a quota of its own, as ``"10/60"``; None or ``"unlimited"`` takes its limit away.

    It works above and below the route decorator. ``RATE_LIMIT_ROUTES`` takes precedence. In a mounted
    application it has no effect, of which a warning tells. Raises ``ValueError`` for what is no quota.
    """
    mark = UNLIMITED if quota is None else quota
    if mark != UNLIMITED:
        Quota.parse(mark)

    def decorate(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _MARK, mark)
        return endpoint

    return decorate


class Limits:
    """The quotas of an application.

    ``routes`` are those of the application, included routers and all; a mounted application is one route.
    What has no effect is logged as a warning: routes in ``RATE_LIMIT_ROUTES`` that it does not have, and
    quotas of endpoints below a mount. ``key`` names the client.
    """

    def __init__(
        self, settings: RateLimitSettings, routes: Iterable[BaseRoute] = (), *, key: Key = by_address
    ) -> None:
        self.default = Quota(settings.requests, settings.window)
        self._enabled = settings.enabled
        self._key = key
        self._routes = _read(routes, settings.routes)
        self._exceptions, self._anywhere = _by_segment(self._routes)
        self._has_exceptions = any(route.quotas for route in self._routes)

    def limit_for(self, scope: Scope, peer: HasAddress) -> tuple[str, Quota] | None:
        """Return the key that a request counts under and its quota; None for one that is not limited."""
        if not self._enabled:
            return None
        path: str = scope["path"]
        if scope.get("root_path"):
            path = _path(scope)
        if path in EXEMPT:
            return None
        # Asking by_address for it would be one more call.
        key = client_key(peer.address) if self._key is by_address else bounded(self._key(scope, peer))
        if self._has_exceptions:
            quota = self._quota(scope.get("method", WEBSOCKET), path)
            if quota is None:
                return None
            if quota is not self.default:
                return f"{quota.name} {key}", quota
        return key, self.default

    def route_of(self, scope: Scope) -> str:
        """Return the template of the route that answers a request, or ``unmatched``."""
        return self._template(scope.get("method", WEBSOCKET), _path(scope))

    @staticmethod
    def headers(decision: Decision, quota: Quota) -> tuple[Header, ...]:
        """Return the fields ``RateLimit-Policy`` and ``RateLimit`` of a response.

        ``Retry-After`` is a header of the error ``TooManyRequests``. In a refusal both name the same time.
        """
        allowed, _, remaining, reset_after, retry_after = decision
        return _fields(quota, remaining, reset_after if allowed else retry_after)

    def _quota(self, method: str, path: str) -> Quota | None:
        for route in self._exceptions.get(_segment(path), self._anywhere):
            if route.matches(method, path):
                return route.quotas.get(method, route.quotas.get(ANY, self.default))
        return self.default

    def _template(self, method: str, path: str) -> str:
        return next((route.template for route in self._routes if route.matches(method, path)), UNMATCHED)


class _Compiled:
    """A route as the limits see it; ``quotas`` by method, where not the default, None for no limit."""

    def __init__(
        self,
        template: str,
        expression: Pattern[str],
        methods: frozenset[str] | None,
        quotas: Mapping[str, Quota | None],
    ) -> None:
        self.template = template
        self.methods = methods
        self.quotas = quotas
        self._match = expression.match
        segment = _segment(template)
        self.segment = None if "{" in segment or not template.startswith("/") else segment

    def matches(self, method: str, path: str) -> bool:
        """Whether the router would choose this route, were it the first."""
        return (self.methods is None or method in self.methods) and self._match(path) is not None


def _read(routes: Iterable[BaseRoute], exceptions: Mapping[str, str]) -> list[_Compiled]:
    """Compile the routes, in the order in which the router tries them."""
    given = {_CONVERTOR.sub("}", route): quota for route, quota in exceptions.items()}
    used: set[str] = set()
    compiled = []
    for context in iter_route_contexts(list(routes)):
        expression = getattr(context, "path_regex", None)
        template = context.path_format or context.path
        if expression is None or template is None:
            continue
        methods = _methods(context)
        quotas = _marked(context.endpoint, template, methods)
        if isinstance(context.original_route, Mount):
            _warn_of_marks(context.original_route, context.path or "")
        for method in methods or (ANY,):
            for name in _names(method, template, context.path):
                if name in given:
                    used.add(name)
                    quotas[method] = _parsed(given[name], name)
                    break
        compiled.append(_Compiled(template, expression, methods, quotas))
    for name in given.keys() - used:
        structlog.get_logger("chassis.ratelimit").warning(
            "RATE_LIMIT_ROUTES names a route that the service does not have", route=name
        )
    return compiled


def _warn_of_marks(mount: Mount, path: str) -> None:
    for context in iter_route_contexts(mount.routes):
        below = f"{path}{context.path}"
        if getattr(context.endpoint, _MARK, None) is not None:
            structlog.get_logger("chassis.ratelimit").warning(
                "an endpoint of a mounted application has no limit of its own:"
                " name the mount in RATE_LIMIT_ROUTES",
                route=below,
                mount=path,
            )
        if isinstance(context.original_route, Mount):
            _warn_of_marks(context.original_route, below)


def _methods(context: RouteContext) -> frozenset[str] | None:
    if isinstance(context.original_route, WebSocketRoute):
        return frozenset({WEBSOCKET})
    return frozenset(context.methods) if context.methods else None


def _names(method: str, template: str, path: str | None) -> Iterator[str]:
    """Yield what a route can be called in the settings, the most exact name first."""
    yield f"{method} {template}"
    if method == "HEAD":
        yield f"GET {template}"
    yield template
    if path is not None:
        yield path  # a mounted application: /files, where its template is /files/{path}


def _marked(
    endpoint: Callable[..., Any] | None, template: str, methods: frozenset[str] | None
) -> dict[str, Quota | None]:
    mark = getattr(endpoint, _MARK, None)
    if mark is None:
        return {}
    names = ",".join(sorted((methods or frozenset()) - {"HEAD"}))
    quota = _parsed(mark, f"{names} {template}".strip())
    return dict.fromkeys(methods or (ANY,), quota)


def _parsed(text: str, name: str) -> Quota | None:
    return None if text == UNLIMITED else Quota.parse(text, name=name)


def _by_segment(
    routes: Sequence[_Compiled],
) -> tuple[dict[str, tuple[_Compiled, ...]], tuple[_Compiled, ...]]:
    """Return what must be tried for a path, by its first segment and for any other first segment.

    Routes behind the last one that has a quota of its own change nothing and are left out.
    """

    def needed(segment: str | None) -> tuple[_Compiled, ...]:
        tried = [route for route in routes if route.segment is None or route.segment == segment]
        while tried and not tried[-1].quotas:
            tried.pop()
        return tuple(tried)

    return {route.segment: needed(route.segment) for route in routes if route.segment is not None}, needed(
        None
    )


def _segment(path: str) -> str:
    # The end of a pattern, "$", is also before a line feed: the router takes /login and a line feed for /login.
    return path.removesuffix("\n").split("/", 2)[1] if path.startswith("/") else ""


def _path(scope: Scope) -> str:
    """Return the path that the router sees: without the prefix the application is mounted under."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
        return path[len(root) :]
    return path


# Few answers differ, and to find one takes 4 thousand instructions less than to write it.
@functools.lru_cache(4_096)
def _fields(quota: Quota, remaining: int, reset: int) -> tuple[Header, Header]:
    # Names are strings of RFC 9651, 3.3.3.
    name = b'"%b"' % quote(quota.name, safe=_STRING_SAFE).encode("ascii")
    return (
        (b"ratelimit-policy", b"%b;q=%d;w=%d" % (name, quota.requests, quota.window)),
        (b"ratelimit", b"%b;r=%d;t=%d" % (name, remaining, reset)),
    )
