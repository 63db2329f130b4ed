"""Restarts the service when a source file changes; for development."""

import importlib.util
import signal
import sys
from pathlib import Path
from socket import socket

from uvicorn import Config
from uvicorn.supervisors.watchfilesreload import WatchFilesReload

from chassis.server import exits
from chassis.server.signals import Stop, stopping_signals
from chassis.server.sockets import Sockets
from chassis.server.worker import Worker
from chassis.service_settings import ServiceSettings

__all__ = ["Reloader"]


class Reloader:
    """Watches the sources of the service, the chassis and the configuration, with uvicorn's reloader.

    It serves nothing itself: a child does, and reads its settings anew at each start. There is no drain
    delay, since nobody balances load here. ``stop`` is installed: it tells what came before the watch.
    """

    def __init__(self, factory: str, settings: ServiceSettings, sockets: Sockets, stop: Stop) -> None:
        self._factory = factory
        self._settings = settings
        self._sockets = sockets
        self._stop = stop

    def run(self) -> int:
        """Watch until a signal, end the child in order, and return the exit code."""
        sockets = self._sockets
        config = Config(
            self._factory,
            factory=True,
            reload=True,
            reload_dirs=[str(path) for path in watched(self._factory)],
            reload_includes=["*.py", "*.yaml"],
            log_config=None,
        )
        both = [sockets.public] if sockets.management is None else [sockets.public, sockets.management]
        watch = WatchFilesReload(config, target=_Child(self._factory, self._settings), sockets=both)
        # It handles no SIGHUP, and the others only from its start on; what came until here is in ``stop``.
        for number in stopping_signals():
            signal.signal(number, watch.signal_handler)
        if not self._stop.requested:
            watch.run()
        return exits.OK


class _Child:
    """What the reloader runs in a child process."""

    def __init__(self, factory: str, settings: ServiceSettings) -> None:
        self._factory = factory
        self._settings = settings

    def __call__(self, sockets: list[socket] | None = None) -> None:
        opened = Sockets(*(sockets or []))
        with Stop().installed() as stop:
            stop.request_with_parent()
            worker = Worker(
                self._factory,
                self._settings,
                opened,
                stop=stop,
                is_last=lambda: False,
                reads_settings=True,
                drain_delay=0.0,
            )
            code = worker.run()
        sys.exit(code)


def watched(factory: str) -> list[Path]:
    """Return the directories to watch: the service's package, the chassis, and ``config`` if there is one."""
    found = [Path(__file__).parents[1]]
    package = importlib.util.find_spec(factory.partition(":")[0].partition(".")[0])
    if package is not None:
        locations = package.submodule_search_locations
        if locations:
            found.extend(Path(location) for location in locations)
        elif package.origin is not None:
            found.append(Path(package.origin).parent)
    config = Path("config")
    if config.is_dir():
        found.append(config)
    return found
