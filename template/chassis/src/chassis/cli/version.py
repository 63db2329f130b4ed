"""``chassis version``: what is installed here."""

import json
import platform
import tomllib
from pathlib import Path

import typer

from chassis import release
from chassis.project import ServiceNotFoundError, find_service

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
    """Return name and version of the service, as its ``pyproject.toml`` says."""
    try:
        service = find_service(directory)
    except ServiceNotFoundError:
        return {}
    file = service.root / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {}) if file.is_file() else {}
    return {"service": f"{project.get('name', service.package)} {project.get('version', '')}".rstrip()}
