"""The routes of an application by method and path, in the order in which the framework would try them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Final

from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute, _IncludedRouter
from starlette.convertors import (
    Convertor,
    FloatConvertor,
    IntegerConvertor,
    PathConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from chassis.dispatch.endpoint import compile_endpoint

__all__ = ["LONGEST_PATH", "Entry", "RouteTable"]

LONGEST_PATH: Final = 600
"""Longer paths are the framework's: beyond 640 digits ``int`` may raise, in a route that would not be tried."""

KNOWN_CONVERTORS: Final = (StringConvertor, PathConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)
UNCHANGED: Final = (StringConvertor, PathConvertor)
"""Convertors that return what they are given."""

WEBSOCKETS: Final = (WebSocketRoute, APIWebSocketRoute)
"""Routes that match no HTTP request."""

_NAME: Final = re.compile(r"\?P<\w+>")
_LITERAL: Final = re.compile(r"(?:[^\\()\[\]{}|.*+?^$]|\\[^0-9A-Za-z])*")


@dataclass(slots=True)
class Entry:
    """A route in the table.

    ``owner`` is read for each request: whoever replaces its ``app`` or its ``endpoint`` is obeyed.
    ``included`` is what ``scope["fastapi"]`` becomes.
    """

    owner: Any
    route: BaseRoute | None
    included: dict[str, Any] | None
    app: ASGIApp
    compiled: ASGIApp
    params: Sequence[tuple[str, int, Callable[[str], Any] | None]] = ()


@dataclass(slots=True)
class _Found:
    """What one method finds: ``entries`` by the number of the group that ends their part of the pattern."""

    literals: dict[str, Entry] = field(default_factory=dict)
    entries: dict[int | None, Entry | None] = field(default_factory=dict)
    match: Callable[[str], re.Match[str] | None] = re.compile(r"(?!)").match


@dataclass(slots=True)
class _Candidate:
    """A route on its way into the table; without an entry, the framework has to look at what it matches."""

    pattern: re.Pattern[str]
    convertors: Mapping[str, Convertor[Any]]
    methods: frozenset[str] = frozenset()
    entry: Entry | None = None
    literal: str | None = None


class RouteTable:
    """The routes of a router as they are now.

    The framework tries one route after another, each twice if its router is included: 60 thousand
    instructions for the fifth. Here a path without parameters is looked up, and all paths with parameters
    are one pattern, whose alternatives are tried in the order of the routes.
    """

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._routes = list(router.routes)
        self._routers: list[APIRouter] = [router]
        self.by_method = self._compile(list(_known(self._walk())))
        # Its only signs of a change: it counts what is added, and a removal shows in the length.
        self._versions = [(each, each._routes_version, len(each.routes)) for each in self._routers]  # noqa: SLF001 - as said

    def is_stale(self) -> bool:
        """Tell whether the routes are others now. This is asked for each request, and takes half a microsecond."""
        for router, version, count in self._versions:
            if router._routes_version != version or len(router.routes) != count:  # noqa: SLF001 - as above
                return True
        routes = self._router.routes
        # Identity, since two routes that differ in their status alone are equal.
        return len(routes) != len(self._routes) or not all(map(is_, routes, self._routes))

    def _walk(self) -> Iterator[_Candidate | None]:
        """Yield each route in order, None for what is not understood: nothing after it is known."""
        included: dict[str, Any] | None = None
        for route in self._routes:
            if type(route) is _IncludedRouter:
                included = {}
                yield from self._included(route)
            elif type(route) is Mount:
                yield _candidate(route.path_regex, route.param_convertors)
            elif _is_plain(route, APIRoute):
                yield _route(route, route, route, included)
            elif _is_plain(route, Route):
                yield _route(route, None, route, included)
            elif type(route) not in WEBSOCKETS:
                yield None

    def _included(self, branch: _IncludedRouter) -> Iterator[_Candidate | None]:
        self._routers.append(branch.original_router)
        if type(branch.original_router) is not APIRouter or branch.include_context.form_limits:
            yield None
            return
        for candidate in branch.effective_candidates():
            if isinstance(candidate, _IncludedRouter):
                yield from self._included(candidate)
                continue
            route = candidate.original_route
            own = candidate.starlette_route
            scope = {"included_router": branch, "effective_route_context": candidate}
            if _is_plain(route, APIRoute):
                yield _route(candidate, route, candidate, scope)
            elif isinstance(own, Mount) and type(own) is Mount:
                yield _candidate(own.path_regex, own.param_convertors)
            elif type(own) is Route and branch.include_context.max_body_size is None:
                yield _route(own, None, own, scope)
            elif type(own) not in WEBSOCKETS:
                yield None

    @staticmethod
    def _compile(candidates: Sequence[_Candidate]) -> dict[str, _Found]:
        methods = {method for each in candidates for method in each.methods}
        return {method: _found(method, candidates) for method in methods}


def _known(candidates: Iterator[_Candidate | None]) -> Iterator[_Candidate]:
    for each in candidates:
        if each is None:
            return
        yield each


def _is_plain(route: BaseRoute, kind: type[Any]) -> bool:
    """Tell whether a route matches and handles as its kind does. A subclass may do the rest in its own way."""
    own = vars(route)
    return (
        isinstance(route, kind)
        and type(route).matches is kind.matches
        and (type(route).handle is kind.handle)
        and "matches" not in own
        and "handle" not in own
    )


def _route(
    owner: Any, route: BaseRoute | None, described: Any, included: dict[str, Any] | None
) -> _Candidate | None:
    candidate = _candidate(described.path_regex, described.param_convertors)
    if candidate is None or not described.methods:
        return candidate
    candidate.methods = frozenset(described.methods)
    candidate.entry = Entry(owner, route, included, owner.app, compile_endpoint(owner.app))
    if not described.param_convertors:
        candidate.literal = described.path_format
    return candidate


def _candidate(pattern: re.Pattern[str], convertors: Mapping[str, Convertor[Any]]) -> _Candidate | None:
    """Return None for a pattern with more in it than literal text and the framework's own convertors."""
    if pattern.flags != re.UNICODE or pattern.groupindex.keys() != convertors.keys():
        return None
    literal = pattern.pattern
    for name, convertor in convertors.items():
        if type(convertor) not in KNOWN_CONVERTORS:
            return None
        literal = literal.replace(f"(?P<{name}>{convertor.regex})", "", 1)
    if not (literal.startswith("^") and literal.endswith("$") and _LITERAL.fullmatch(literal[1:-1])):
        return None
    return _Candidate(pattern, convertors)


def _found(method: str, candidates: Sequence[_Candidate]) -> _Found:
    """Compile what a method finds. A route of other methods is passed: a later one may fit."""
    found = _Found()
    before: list[_Candidate] = []
    alternatives: list[str] = []
    groups = 0
    for each in candidates:
        if each.entry is not None and method not in each.methods:
            continue
        if each.literal is not None and each.entry is not None:
            # A route with parameters may match the same path, and decides if it comes first.
            if not any(other.pattern.match(each.literal) for other in before):
                found.literals.setdefault(each.literal, each.entry)
            continue
        before.append(each)
        alternatives.append(_NAME.sub("", each.pattern.pattern[1:]) + "()")
        entry = each.entry
        if entry is not None:
            entry = Entry(
                entry.owner, entry.route, entry.included, entry.app, entry.compiled, _params(each, groups)
            )
        groups += each.pattern.groups + 1
        found.entries[groups] = entry
    if alternatives:
        found.match = re.compile("|".join(alternatives)).match
    return found


def _params(candidate: _Candidate, groups: int) -> list[tuple[str, int, Callable[[str], Any] | None]]:
    return [
        (
            name,
            groups + candidate.pattern.groupindex[name],
            None if type(convertor) in UNCHANGED else convertor.convert,
        )
        for name, convertor in candidate.convertors.items()
    ]
