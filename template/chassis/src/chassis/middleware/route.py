"""The route template of a request, as metrics, spans and access lines carry it.

A raw path would be a new label value for each identifier and for each path that a scanner makes up.
"""

from collections.abc import Iterable
from typing import Final

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from chassis.metrics import UNMATCHED

__all__ = ["RouteTemplates"]


_NONE: Final = (None, UNMATCHED)


class RouteTemplates:
    """Finds the template, e.g. ``/items/{item_id}``, under which a request was handled.

    FastAPI leaves its own routes in the scope, but neither plain Starlette routes nor mounts: those are
    recognised by their endpoint. Routes are read once, when the layer is built.
    """

    def __init__(self, routes: Iterable[BaseRoute] = ()) -> None:
        # By identity, since not all can be hashed: a Router cannot. Each is kept, so that its number stays its own.
        self._by_endpoint: dict[int, tuple[object, str]] = {}
        self._mounts: list[RouteContext] = []
        for route in iter_route_contexts(list(routes)):
            if isinstance(route.original_route, Mount):
                self._mounts.append(route)
                self._by_endpoint[id(route.app)] = route.app, f"{route.path}/{{path}}"
            elif isinstance(route.original_route, Route):
                self._by_endpoint[id(route.endpoint)] = route.endpoint, str(route.path_format)

    def of(self, scope: Scope, root_path: str = "") -> str:
        """Return the template that matched or ``UNMATCHED``; ``root_path`` is the one on arrival."""
        # With include_router(prefix=...) the prefix is only in FastAPI's effective route context.
        included = scope.get("fastapi")
        template: str | None = None
        if included is not None and (context := included.get("effective_route_context")) is not None:
            # Empty for what is no path operation. A mount's own is not that of what it led to.
            own = context.starlette_route
            template = context.path_format or (
                None if isinstance(own, Mount) else getattr(own, "path_format", None)
            )
        if template is None:
            template = getattr(scope.get("route"), "path_format", None)
        if template is None and included is not None and "frontend_path" in included:
            # A file of a frontend. It is told apart from other routes only by what is left of its path.
            # The file goes first, for a path may also begin like the root path and not be below it.
            folder = scope["path"].removesuffix(included["frontend_path"]).rstrip("/") + "/"
            template = f"/{folder.removeprefix(scope.get('root_path', '') + '/').lstrip('/')}{{path}}"
        if template is None:
            return self._by_endpoint.get(id(scope.get("endpoint")), _NONE)[1]
        mounted = scope.get("root_path", "")
        if len(mounted) > len(root_path):
            return self._mount_template(mounted[len(root_path) :]) + template
        return template

    def _mount_template(self, prefix: str) -> str:
        for mount in self._mounts:
            if mount.path_regex.match(f"{prefix}/"):
                return mount.path or ""
        return ""
