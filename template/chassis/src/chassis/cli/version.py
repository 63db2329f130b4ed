"""``chassis version``: what is installed here."""

import json
import platform
from pathlib import Path

import typer

from chassis import release
from chassis.cli.discovery import ServiceNotFoundError, find_service

__all__ = ["show"]


def show(directory: Path, *, as_json: bool) -> None:
    """Print the versions. Outside a service, those of the chassis and of Python alone."""
    facts = {
        "chassis": release.VERSION,
        "digest": release.digest(),
        "python": platform.python_version(),
        **_service(directory),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        typer.echo(f"{name:<8} {value}")


def _service(directory: Path) -> dict[str, str]:
    """Return the package and, where it is installed, the version of the service."""
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    try:
        package = find_service(directory).package
    except ServiceNotFoundError:
        return {}
    try:
        distribution = packages_distributions().get(package, [package])[0]
        return {"service": f"{package} {version(distribution)}"}
    except PackageNotFoundError:
        return {"service": f"{package} (not installed)"}
