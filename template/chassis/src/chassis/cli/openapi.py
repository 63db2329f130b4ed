"""``chassis openapi``: the API description of a service, the same bytes for the same code."""

import json
from pathlib import Path

import typer

from chassis.app import Service
from chassis.cli.aside import aside
from chassis.cli.config import find_settings
from chassis.project import ServiceNotFoundError, find_service, load_object
from chassis.settings import load
from chassis.wrapping import Wrapped

__all__ = ["build", "show"]


def show(directory: Path, output: Path | None) -> None:
    """Print or write the document, its keys sorted; of a wrapped application, its own document.

    Raises ``SettingsError`` if the settings are invalid, ``ServiceNotFoundError`` if the application has none.
    """
    with aside():
        service = build(directory)
        describe = getattr(service.app if isinstance(service, Wrapped) else service, "openapi", None)
        if not callable(describe):
            raise ServiceNotFoundError("the application that this service wraps has no OpenAPI document")
        document = json.dumps(describe(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(document, nl=False)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(document, encoding="utf-8", newline="\n")


def build(directory: Path) -> Service | Wrapped:
    """Build the service with its own settings and open nothing.

    Raises ``ServiceNotFoundError``, ``SettingsError``, and whatever the service's own code raises.
    """
    settings_class, root = find_settings(None, directory)
    factory = load_object(find_service(directory).app, root)
    service = factory(load(settings_class, directory=root))
    if isinstance(service, Service | Wrapped):
        return service
    raise ServiceNotFoundError(
        "create_app of this service does not return what chassis.app.create_app or chassis.wrapping.wrap made"
    )
