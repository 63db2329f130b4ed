"""Checks of what the service needs when it runs."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from chassis.app import Service
from chassis.cli.config import find_settings
from chassis.cli.findings import Finding, ok, problem, warning
from chassis.cli.openapi import build
from chassis.cli.reason import reason
from chassis.health import CheckResult, Status
from chassis.project import ServiceNotFoundError
from chassis.service_settings import ServiceSettings
from chassis.settings import Mistake, SettingsError, load
from chassis.wrapping import Wrapped

__all__ = ["application", "config_files", "ports", "settings"]

ONLINE_SECONDS = 60
TRACEBACK = "Run chassis --traceback openapi to see where."


def config_files(root: Path) -> Iterator[Finding]:
    """Tell which files the settings come from."""
    directory = root / os.environ.get("CONFIG_DIR", "config")
    files = sorted(file.name for file in directory.glob("*.yaml")) if directory.is_dir() else []
    if (root / ".env").is_file():
        files.append(".env")
    if files:
        yield ok("config", ", ".join(files))
    else:
        yield warning(
            "config",
            f"there is no file in {directory}",
            "Set CONFIG_DIR, or ignore this if variables suffice.",
        )


def settings(directory: Path) -> tuple[list[Finding], ServiceSettings | None]:
    """Read the settings; return each mistake, or each warning and the settings themselves."""
    try:
        cls, root = find_settings(None, directory)
        loaded = load(cls, directory=root)
    except SettingsError as error:
        return [_mistake(mistake) for mistake in error.mistakes], None
    except ServiceNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - the service's own code may raise anything: that is the finding
        return [problem("settings", f"cannot be imported: {reason(error)}", TRACEBACK)], None
    if not isinstance(loaded, ServiceSettings):
        advice = "Let Settings inherit from chassis.service_settings.ServiceSettings."
        return [problem("settings", "are no settings of a service", advice)], None
    findings = [warning("settings", str(found), "See chassis config show.") for found in loaded.warnings]
    return findings or [ok("settings", "valid; chassis config show tells where each comes from")], loaded


def ports(settings: ServiceSettings) -> Iterator[Finding]:
    """Check that the ports are free."""
    server = settings.server
    wanted = {"PORT": server.port, "MANAGEMENT_PORT": server.management_port}
    for variable, port in wanted.items():
        if port:
            yield _port(variable, server.host, port)


def application(directory: Path, *, online: bool) -> Iterator[Finding]:
    """Build the service and, if ``online``, start its resources and ask its health checks."""
    try:
        service = build(directory)
    except Exception as error:  # noqa: BLE001 - the service's own code may raise anything, and that is the finding
        yield problem("app", f"create_app fails: {reason(error)}", TRACEBACK)
        return
    identity = service.environment.settings.service
    yield ok("app", f"{identity.name} {identity.version} can be built")
    if online:
        yield from asyncio.run(_online(service))


async def _online(service: Service | Wrapped) -> list[Finding]:
    environment = service.environment
    try:
        async with asyncio.timeout(ONLINE_SECONDS), environment.lifecycle.running():
            report = await environment.health.report()
    except Exception as error:  # noqa: BLE001 - whatever a resource raises when it starts is the finding
        return [
            problem("start", reason(error), "Start what the service depends on, or correct its settings.")
        ]
    return [_health(check) for check in report.checks]


def _mistake(mistake: Mistake) -> Finding:
    return problem("settings", str(mistake), f"Set {mistake.variable} in the environment or in .env.")


def _health(check: CheckResult) -> Finding:
    message = f"{check.name}: {check.detail or check.status.value}"
    if check.status is Status.HEALTHY:
        return ok("health", message)
    tell = problem if check.critical else warning
    return tell("health", message, f"See that {check.name} can be reached with these settings.")


def _port(variable: str, host: str, port: int) -> Finding:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return problem("port", f"{host}:{port} is in use", f"Stop what uses it, or set {variable}.")
        if error.errno == errno.EACCES:
            return problem("port", f"{host}:{port} needs rights that you lack", f"Set {variable} above 1023.")
        told = f"{host}:{port} cannot be used: {error.strerror or error}"
        return problem("port", told, f"Set HOST to an address of this machine, and {variable}.")
    return ok("port", f"{host}:{port} is free")
