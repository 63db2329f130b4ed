"""The application inside the layer, with health and metrics beside it."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.bundle import Bundle, Environment, in_dependency_order
from chassis.lifecycle import Lifecycle
from chassis.logging import configure_logging, flush_logs
from chassis.middleware import RequestLayer, crash_handler, problem_handlers, redirect_slashes
from chassis.ratelimit import Limits
from chassis.security import docs_routes
from chassis.service_settings import ServiceSettings
from chassis.tracing import current_trace_ids
from chassis.wrapping.lifespan import running
from chassis.wrapping.templates import Templates

__all__ = ["Wrapped", "wrap"]


def wrap(
    app: ASGIApp,
    settings: ServiceSettings,
    *,
    bundles: Sequence[Bundle] = (),
    templates: Templates | None = None,
) -> "Wrapped":
    """Put the request layer around any ASGI application, and the standard's endpoints beside it.

    Health and metrics are answered here, also where the application has a route of the same path. The
    application starts after everything that the chassis opens and stops before it; one without a lifespan
    is served as well.

    Routes of FastAPI and Starlette are known. ``templates`` finds those of another framework, as
    ``flask_templates`` does; without it they are all ``unmatched`` in metrics.

    Bundles may bring resources, health checks and metrics. Raises ``ValueError`` for one that brings routes,
    which need ``chassis.app.create_app``, and ``BundleOrderError`` for bundles that do not fit together.
    """
    configure_logging(
        settings.logging,
        service=settings.service.name,
        environment=settings.environment,
        enrich=current_trace_ids,
    )
    environment = Environment(settings)
    for bundle in in_dependency_order(bundles):
        bundle.register(environment)
        if environment.routers:
            raise ValueError(f"the bundle {bundle.name!r} brings routes: give it to chassis.app.create_app")
    return Wrapped(app, environment, templates)


class Wrapped:
    """An application inside the request layer.

    ``environment`` holds what the chassis brings. ``management`` is the ASGI application for the management
    port, or None when metrics and detailed health are served on the service's own port.
    """

    def __init__(self, app: ASGIApp, environment: Environment, templates: Templates | None = None) -> None:
        self.app = app
        self.environment = environment
        self._templates = templates
        self._state: dict[str, Any] = {}
        settings = environment.settings
        own: list[BaseRoute] = list(environment.health.routes())
        operations: list[BaseRoute] = [
            *environment.health.detailed_routes(),
            *environment.management_routes,
        ]
        if environment.metrics.enabled:
            operations.insert(0, Route("/metrics", self._metrics, include_in_schema=False))
        self.management: ASGIApp | None = None
        if settings.server.management_port is None:
            own += operations
        else:
            self.management = _management(environment, [*environment.health.routes(), *operations])
        own += _docs(app, settings)
        self._own = own
        routes = [*own, *getattr(app, "routes", ())]
        self._layer = RequestLayer(
            self._dispatch,
            environment.collaborators(),
            limits=Limits(settings.rate_limiting, routes, key=environment.rate_limit_key),
            routes=routes,
        )
        environment.lifecycle.resource("application", lambda: running(app, self._state))
        self._lifespan = Router(lifespan=_lifespan(environment.lifecycle))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan."""
        if scope["type"] == "lifespan":
            self._state = scope.setdefault("state", {})
            await self._lifespan(scope, receive, send)
        else:
            await self._layer(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is asked of the chassis, and hand the rest to the application."""
        for route in self._own:
            match, child_scope = route.matches(scope)
            if match is not Match.NONE:
                # With an "app" in the scope, a wrong method is raised: it becomes a problem in the layer.
                scope.update(child_scope, route=route, app=self)
                await route.handle(scope, receive, send)
                return
        if self._templates is not None:
            scope["route"] = _LateTemplate(self._templates, scope)
        await self.app(scope, receive, send)

    async def _metrics(self, request: Request) -> Response:
        body, content_type = await self.environment.metrics.scrape(request.headers.get("accept"))
        return Response(body, headers={"content-type": content_type})


class _LateTemplate:
    """Stands where FastAPI leaves its route; the template is looked for when the layer reports."""

    def __init__(self, templates: Templates, scope: Scope) -> None:
        self._templates = templates
        self._scope = scope

    @property
    def path_format(self) -> str | None:
        """The template, or None."""
        return self._templates(self._scope)


def _management(environment: Environment, routes: list[BaseRoute]) -> ASGIApp:
    management = Starlette(
        routes=routes,
        exception_handlers={
            **problem_handlers(),
            Exception: crash_handler(debug=environment.settings.debug),
        },
    )
    redirect_slashes(management.router)
    return RequestLayer(management, environment.collaborators(), routes=management.routes)


def _docs(app: ASGIApp, settings: ServiceSettings) -> Iterable[BaseRoute]:
    """Replace FastAPI's documentation page, whose scripts come from other hosts, which the layer forbids."""
    openapi_url = getattr(app, "openapi_url", None)
    if not settings.docs_enabled or openapi_url is None or getattr(app, "docs_url", None) != "/docs":
        return ()
    return docs_routes(openapi_url, getattr(app, "title", settings.service.name))


def _lifespan(lifecycle: Lifecycle) -> Callable[[Any], Any]:
    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        """Open what was registered, close it in reverse order, and flush the log last."""
        try:
            async with lifecycle.running():
                yield
        finally:
            flush_logs()

    return lifespan
