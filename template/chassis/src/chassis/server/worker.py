"""One serving process: start, serve, drain, stop."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import Final

from uvicorn.importer import ImportFromStringError
from uvicorn.loops.auto import auto_loop_factory

from chassis.logging import configure_logging, flush_logs, log_loop_exceptions
from chassis.server import collector, exits
from chassis.server.application import Application, build
from chassis.server.listener import Listener, StartupFailed
from chassis.server.signals import Stop
from chassis.server.sockets import Sockets, cannot_listen
from chassis.service_settings import ServiceSettings
from chassis.settings import SettingsError
from chassis.structured import structlog

__all__ = ["THREADS_SECONDS", "Worker"]

log = structlog.get_logger("chassis.server")

# Seconds that requests on the management port have to finish; they are scrapes and probes.
_MANAGEMENT_LIMIT: Final = 1.0
THREADS_SECONDS: Final = 2.0
"""What threads of requests that were cut off have to end, after everything else has."""


class Worker:
    """Builds the service and serves it until it is asked to stop.

    A stop has this order: readiness fails; for the drain delay everything is still served; connections are
    refused while requests in flight finish; the management port closes; the application closes its resources.

    ``is_last`` says, when it is asked, that no other process will go on accepting on the same sockets.
    """

    def __init__(
        self,
        factory: str,
        settings: ServiceSettings,
        sockets: Sockets,
        *,
        stop: Stop,
        on_ready: Callable[[], None] = lambda: None,
        is_last: Callable[[], bool] = lambda: True,
        reads_settings: bool = False,
        drain_delay: float | None = None,
    ) -> None:
        self._factory = factory
        self._settings = settings
        self._sockets = sockets
        self._stop = stop
        self._on_ready = on_ready
        self._is_last = is_last
        self._reads_settings = reads_settings
        self._cut_off = 0
        self._drain_delay = (
            settings.lifecycle.delay(settings.environment) if drain_delay is None else drain_delay
        )

    def run(self) -> int:
        """Serve, and return the exit code."""
        try:
            with collector.held():
                application = build(self._factory, None if self._reads_settings else self._settings)
                collector.freeze()
        except SettingsError as error:
            sys.stderr.write(f"{error}\n")
            return exits.CONFIG
        except ImportFromStringError as error:
            sys.stderr.write(f"{error}\n")
            return exits.FAILED
        except Exception:
            # The factory may have failed before it configured logging, and unmasked is no way to log it.
            settings = self._settings
            configure_logging(
                settings.logging, service=settings.service.name, environment=settings.environment
            )
            log.critical("the service cannot be built", factory=self._factory, exc_info=True)
            flush_logs()
            return exits.FAILED
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            code = runner.run(self._serve(application))
        flush_logs()
        return code

    async def _serve(self, application: Application) -> int:
        loop = asyncio.get_running_loop()
        log_loop_exceptions(loop)
        self._stop.attach(loop)
        server = self._settings.server
        public = Listener(application.app, self._sockets.public, server, lifespan="on")
        management = None
        if application.management is not None and self._sockets.management is not None:
            management = Listener(application.management, self._sockets.management, server, lifespan="off")

        serving = loop.create_task(self._serve_until_stopped(application, public, management))
        forced = loop.create_task(self._stop.wait_forced())
        await asyncio.wait({serving, forced}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            log.warning("stopped at once", in_flight=public.in_flight)
            flush_logs()
            sys.stderr.flush()
            os._exit(exits.FORCED)
        forced.cancel()
        code = serving.result()
        if self._cut_off:
            _end_without_threads(code)
        return code

    async def _serve_until_stopped(
        self, application: Application, public: Listener, management: Listener | None
    ) -> int:
        server = self._settings.server
        for listener, port, variable in (
            (management, server.management_port or 0, "MANAGEMENT_PORT"),
            (public, server.port, "PORT"),
        ):
            if listener is None:
                continue
            try:
                if not await self._open(listener):
                    return exits.OK
            except StartupFailed:
                return exits.FAILED
            except OSError as error:
                sys.stderr.write(f"{cannot_listen(error, server.host, port, variable)}\n")
                return exits.FAILED
        collector.freeze()
        self._on_ready()
        addresses = {"url": public.address}
        if management is not None:
            addresses["management_url"] = management.address
        log.info("serving", **addresses, pid=os.getpid())
        await self._stop.wait_requested()
        return await self._drain(application, public, management)

    async def _open(self, listener: Listener) -> bool:
        """Open a listener; return False if a stop was asked for before it was open."""
        opening = asyncio.create_task(listener.open())
        stop = asyncio.create_task(self._stop.wait_requested())
        await asyncio.wait({opening, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not opening.done():
            log.info("stopped while starting")
            opening.cancel()
            await asyncio.wait({opening})
            return False
        opening.result()
        return True

    async def _drain(self, application: Application, public: Listener, management: Listener | None) -> int:
        if application.lifecycle is not None:
            application.lifecycle.begin_drain()
        log.info("draining", delay_seconds=self._drain_delay)
        await asyncio.sleep(self._drain_delay)

        await public.refuse(last=self._is_last())
        limit = self._settings.lifecycle.shutdown_timeout
        log.info("refusing connections", in_flight=public.in_flight)
        self._cut_off = cut_off = await public.finish(limit)
        if cut_off:
            log.warning("requests cut off", count=cut_off, timeout_seconds=limit)
        else:
            log.info("requests finished")

        if management is not None:
            await management.refuse(last=False)  # another worker may still need it
            self._cut_off += await management.finish(_MANAGEMENT_LIMIT)
            await management.close()
        clean = await public.close()
        log.info("stopped")
        return exits.OK if clean else exits.FAILED


def _end_without_threads(code: int) -> None:
    """End the process although threads still run: nothing can stop one, and Python would wait for it."""

    def end() -> None:
        log.warning("stopped without waiting for threads", timeout_seconds=THREADS_SECONDS)
        flush_logs()
        os._exit(code)

    timer = threading.Timer(THREADS_SECONDS, end)
    timer.daemon = True  # it ends with the process, where no thread holds that up
    timer.start()
