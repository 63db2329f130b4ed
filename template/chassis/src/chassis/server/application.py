"""How the service is built from its factory."""

from typing import Any, NamedTuple, Protocol, Self, cast

from starlette.types import ASGIApp
from uvicorn.importer import import_from_string

from chassis.lifecycle import Lifecycle
from chassis.service_settings import ServiceSettings

__all__ = ["Application", "build"]


class Factory(Protocol):
    """A composition root: ``create_app`` of a service."""

    def __call__(self, settings: Any = None, /) -> ASGIApp:
        """Build the service; without settings it loads them itself."""
        ...


class Application(NamedTuple):
    """What the server needs of a service.

    A plain ASGI application has no lifecycle and no management application: it is served, and drained without
    a failing readiness.
    """

    app: ASGIApp
    lifecycle: Lifecycle | None
    management: ASGIApp | None

    @classmethod
    def of(cls, app: ASGIApp) -> Self:
        """Find the parts of a ``chassis.app.Service``."""
        environment = getattr(app, "environment", None)
        return cls(app, getattr(environment, "lifecycle", None), getattr(app, "management", None))


def build(factory: str, settings: ServiceSettings | None) -> Application:
    """Import the factory ``module:function`` and call it; with None it loads its own settings.

    Raises ``uvicorn.importer.ImportFromStringError`` if there is no such function, and what it raises.
    """
    create = cast("Factory", import_from_string(factory))
    return Application.of(create() if settings is None else create(settings))
