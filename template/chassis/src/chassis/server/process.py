"""One process, several workers or the reloader."""

import sys
from collections.abc import Callable

from chassis.logging import configure_logging, flush_logs
from chassis.metrics import shared_directory
from chassis.server.exits import FAILED
from chassis.server.signals import Stop
from chassis.server.sockets import CannotListenError, Sockets, open_sockets
from chassis.server.worker import Worker
from chassis.service_settings import ServiceSettings
from chassis.structured import structlog

__all__ = ["run"]

log = structlog.get_logger("chassis.server")


def run(factory: str, settings: ServiceSettings) -> int:
    """Serve ``factory`` (``orders.app:create_app``) until SIGTERM, SIGINT or SIGHUP, and return the exit code.

    The code is 0 after a drain, 1 if the service could not start or stop, 78 if a setting is wrong, 130 after
    a second SIGINT. The factory is called with the settings in each worker; with ``reload`` it is called
    without, so that it reads them again. Must be called in the main thread.
    """
    try:
        sockets = open_sockets(settings.server)
    except CannotListenError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    try:
        if settings.server.reload:
            from chassis.server.reloader import Reloader

            with Stop().installed() as stop:
                return _with_children(Reloader(factory, settings, sockets, stop).run, settings)
        if settings.server.workers > 1:
            from chassis.server.supervisor import Supervisor

            return _with_children(Supervisor(factory, settings, sockets).run, settings)
        return _alone(factory, settings, sockets)
    finally:
        sockets.close()


def _alone(factory: str, settings: ServiceSettings, sockets: Sockets) -> int:
    with Stop().installed() as stop:
        return Worker(factory, settings, sockets, stop=stop, on_ready=lambda: _warn(settings)).run()


def _with_children(parent: Callable[[], int], settings: ServiceSettings) -> int:
    configure_logging(settings.logging, service=settings.service.name, environment=settings.environment)
    _warn(settings)
    try:
        with shared_directory(settings.metrics):
            return parent()
    finally:
        flush_logs()


def _warn(settings: ServiceSettings) -> None:
    for mistake in settings.warnings:
        log.warning("setting looks wrong", variable=mistake.variable, problem=mistake.problem)
