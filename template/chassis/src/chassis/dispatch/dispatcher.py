"""The application in the router's place: finds the route of a request and calls it, or the router."""

from collections.abc import Awaitable
from typing import Any

from fastapi.routing import APIRouter
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.dispatch.table import LONGEST_PATH, RouteTable
from chassis.structured import structlog

__all__ = ["Dispatcher"]


class Dispatcher:
    """Calls compiled routes. What they are not is left to the framework's own router."""

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._own: ASGIApp = router.middleware_stack
        self._table: RouteTable | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return what to await. This is no coroutine, which would cost a thousand instructions."""
        # An application below another one, and FastAPI's own telemetry, are left to the framework.
        if (
            scope["type"] != "http"
            or "router" in scope
            or "fastapi" in scope
            or "path_params" in scope
            or "fastapi.telemetry" in scope
        ):
            return self._own(scope, receive, send)
        table = self._table
        if table is None or table.is_stale():
            table = self._table = self._compile()
        path: str = scope["path"] if not scope.get("root_path") else get_route_path(scope)
        found = table.by_method.get(scope["method"])
        # The end of a pattern, "$", is also before a line feed, which a dict does not know.
        if found is None or len(path) > LONGEST_PATH or path.endswith("\n"):
            return self._own(scope, receive, send)
        params: dict[str, Any] = {}
        entry = found.literals.get(path)
        if entry is None:
            match = found.match(path)
            if match is None:
                return self._own(scope, receive, send)
            entry = found.entries[match.lastindex]
            if entry is None:
                return self._own(scope, receive, send)
            for name, group, convert in entry.params:
                params[name] = match[group] if convert is None else convert(match[group])
        owner = entry.owner
        scope["router"] = self._router
        scope["endpoint"] = owner.endpoint
        scope["path_params"] = params
        if entry.route is not None:
            scope["route"] = entry.route
        if entry.included is not None:
            scope["fastapi"] = entry.included.copy()
        app = owner.app
        return (entry.compiled if app is entry.app else app)(scope, receive, send)

    def _compile(self) -> RouteTable:
        """Return the table of the routes as they are now; an empty one, which finds nothing, if that fails."""
        try:
            return RouteTable(self._router)
        except Exception as error:
            log = structlog.get_logger("chassis.dispatch")
            log.warning("routes could not be compiled; the framework serves them", exc_info=error)
            return RouteTable(APIRouter())
