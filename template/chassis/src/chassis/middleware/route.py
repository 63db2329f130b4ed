"""The route template of a request, as metrics, spans and access lines carry it.

A raw path would be a new label value for each identifier and for each path that a scanner makes up.
"""

from collections.abc import Iterable

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from chassis.metrics import UNMATCHED

__all__ = ["RouteTemplates"]


class RouteTemplates:
    """Finds the template, e.g. ``/items/{item_id}``, under which a request was handled.

    FastAPI leaves its own routes in the scope, but neither plain Starlette routes nor mounts: those are
    recognised by their endpoint. Routes are read once, when the layer is built.
    """

    def __init__(self, routes: Iterable[BaseRoute] = ()) -> None:
        self._by_endpoint: dict[object, str] = {}
        self._mounts: list[Mount] = []
        for route in routes:
            if isinstance(route, Mount):
                self._mounts.append(route)
                self._by_endpoint[route.app] = f"{route.path}/{{path}}"
            elif isinstance(route, Route):
                self._by_endpoint[route.endpoint] = route.path_format

    def of(self, scope: Scope, root_path: str = "") -> str:
        """Return the template that matched or ``UNMATCHED``; ``root_path`` is the one on arrival."""
        # With include_router(prefix=...) the prefix is only in FastAPI's effective route context.
        included = scope.get("fastapi")
        if included is not None and (context := included.get("effective_route_context")) is not None:
            template: str | None = context.path_format
        else:
            template = getattr(scope.get("route"), "path_format", None)
        if template is None:
            return self._by_endpoint.get(scope.get("endpoint"), UNMATCHED)
        mounted = scope.get("root_path", "")
        if len(mounted) > len(root_path):
            return self._mount_template(mounted[len(root_path) :]) + template
        return template

    def _mount_template(self, prefix: str) -> str:
        for mount in self._mounts:
            if mount.path_regex.match(f"{prefix}/"):
                return mount.path
        return ""
