"""``chassis doctor``: every check is made, then all findings are told."""

import json
from collections.abc import Iterator
from pathlib import Path

import typer

from chassis.cli.aside import aside
from chassis.cli.checks import installation, runtime
from chassis.cli.findings import Finding, Level
from chassis.project import find_service

__all__ = ["examine"]


def examine(directory: Path, *, online: bool, as_json: bool) -> bool:
    """Print what is found in the environment of a service; return whether there is no problem.

    Raises ``ServiceNotFoundError`` where there is no service to look at.
    """
    with aside():
        findings = list(_findings(directory, online=online))
    healthy = all(finding.level is not Level.PROBLEM for finding in findings)
    if as_json:
        document = {"ok": healthy, "findings": [finding.as_dict() for finding in findings]}
        typer.echo(json.dumps(document, indent=2))
        return healthy
    for finding in findings:
        typer.echo(finding.as_text())
    count = sum(finding.level is Level.PROBLEM for finding in findings)
    typer.echo("\nno problem found" if healthy else f"\n{count} to solve")
    if healthy and not online:
        typer.echo("chassis doctor --online also starts the service's resources and asks its health checks")
    return healthy


def _findings(directory: Path, *, online: bool) -> Iterator[Finding]:
    service = find_service(directory)
    yield from installation.python(service.root)
    yield from installation.uv(service.root)
    yield from installation.lock(service.root)
    yield from installation.extras(service)
    yield from runtime.config_files(service.root)
    findings, settings = runtime.settings(directory)
    yield from findings
    if settings is None:
        return
    yield from runtime.ports(settings)
    yield from runtime.application(directory, online=online)
