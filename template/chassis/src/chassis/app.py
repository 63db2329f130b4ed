"""The application: what a composition root calls.

``create_app`` builds everything and opens nothing; resources open when the server starts the lifespan.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from chassis.bundle import Bundle, Environment, in_dependency_order
from chassis.dispatch import compiled, prepare_threads
from chassis.logging import configure_logging, flush_logs
from chassis.middleware import (
    Inside,
    RequestLayer,
    crash_handler,
    enter,
    mapped_handler,
    problem_handlers,
    redirect_slashes,
    why_not,
)
from chassis.openapi import describe_problems
from chassis.ratelimit import Limits
from chassis.security import docs_routes
from chassis.service_settings import ServiceSettings
from chassis.structured import structlog
from chassis.tracing import current_trace_ids

__all__ = ["Service", "create_app"]

OPENAPI_URL = "/openapi.json"

log = structlog.get_logger("chassis.app")


def create_app(
    settings: ServiceSettings,
    *,
    bundles: Sequence[Bundle] = (),
    routers: Sequence[APIRouter] = (),
) -> "Service":
    """Build the service: logging first, then each bundle after those it requires, then the routes.

    Raises ``BundleOrderError`` for bundles that do not fit together.
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
    service = Service(environment)
    for router in (*environment.routers, *routers):
        service.include_router(router)
    return service


class Service(FastAPI):
    """A FastAPI application inside the chassis's request layer.

    ``environment`` holds what it was built from. ``management`` is the ASGI application for the management
    port, or None when metrics, detailed health and docs are served on the service's own port.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._described: dict[str, Any] | None = None
        settings = environment.settings
        super().__init__(
            title=settings.service.name,
            version=settings.service.version,
            description=settings.service.description,
            lifespan=_lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            # The request layer replaces FastAPI's native telemetry: both would trace each request twice.
            telemetry={"tracing": False, "metrics": False, "logs": False},
            exception_handlers={**problem_handlers(), Exception: crash_handler(debug=settings.debug)},
        )
        for kind, to_error in environment.error_mappings.items():
            self.add_exception_handler(kind, mapped_handler(to_error))
        redirect_slashes(self.router)
        self.router.routes.extend(environment.health.routes())
        self.management = self._place_operations()

    @override
    def build_middleware_stack(self) -> ASGIApp:
        """Wrap everything, FastAPI's own layers included, so that no response leaves without the layer.

        Requests go past those layers if the layer can take their place: decision 0007.
        """
        stack = super().build_middleware_stack()
        fast_path = self.environment.settings.fast_path
        entry = compiled(self) if fast_path else self.router.middleware_stack
        reason = why_not(self, stack) if fast_path else "FAST_PATH is false"
        if reason is not None:
            log.info("requests pass the framework's own layers, which takes longer", reason=reason)
            enter(self, stack, entry)
        return RequestLayer(
            stack,
            self.environment.collaborators(),
            limits=Limits(
                self.environment.settings.rate_limiting, self.routes, key=self.environment.rate_limit_key
            ),
            routes=self.routes,
            inside=Inside(self, super().build_middleware_stack, entry) if reason is None else None,
        )

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as FastAPI does, but look for no telemetry providers: they are switched off."""
        stack = self.middleware_stack
        # FastAPI's own way takes 4 thousand instructions more to find that out.
        if stack is None or self.root_path or scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await stack(scope, receive, send)

    @override
    def openapi(self) -> dict[str, Any]:
        """Describe the API as it answers, errors included; built anew only when routes were added."""
        document = super().openapi()
        if document is not self._described:
            self._described = describe_problems(document)
        return document

    def _place_operations(self) -> ASGIApp | None:
        """Put the operators' routes on the management port if there is one, else on the service's own."""
        environment = self.environment
        operations: list[BaseRoute] = [
            *environment.health.detailed_routes(),
            *environment.management_routes,
        ]
        if environment.metrics.enabled:
            operations.insert(0, Route("/metrics", self._metrics, include_in_schema=False))
        if environment.settings.docs_enabled:
            operations.append(Route(OPENAPI_URL, self._openapi_document, include_in_schema=False))
            operations.extend(docs_routes(OPENAPI_URL, self.title))
        if environment.settings.server.management_port is None:
            self.router.routes.extend(operations)
            return None
        management = Starlette(
            routes=[*environment.health.routes(), *operations],
            exception_handlers={
                **problem_handlers(),
                Exception: crash_handler(debug=environment.settings.debug),
            },
        )
        redirect_slashes(management.router)
        return RequestLayer(management, environment.collaborators(), routes=management.routes)

    async def _metrics(self, request: Request) -> Response:
        body, content_type = await self.environment.metrics.scrape(request.headers.get("accept"))
        return Response(body, headers={"content-type": content_type})

    async def _openapi_document(self, _: Request) -> Response:
        return JSONResponse(self.openapi())


@asynccontextmanager
async def _lifespan(service: FastAPI) -> AsyncIterator[None]:
    """Open what bundles registered, close it in reverse order, and flush the log last."""
    if not isinstance(service, Service):
        raise TypeError("this lifespan belongs to a Service")
    try:
        await prepare_threads(service.routes)
        async with service.environment.lifecycle.running():
            yield
    finally:
        flush_logs()
