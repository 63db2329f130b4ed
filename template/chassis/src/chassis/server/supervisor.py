"""The parent of several workers."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Final

from chassis.lifecycle import Backoff
from chassis.server import exits
from chassis.server.signals import Stop, stopping_signals
from chassis.server.sockets import Sockets
from chassis.server.worker import THREADS_SECONDS, Worker
from chassis.service_settings import ServiceSettings
from chassis.structured import structlog

__all__ = ["Supervisor"]

log = structlog.get_logger("chassis.server")

# What a process that is being started must not get before it has handlers.
_HELD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Seconds granted to workers beyond the longest stop that the settings allow; threads may end after it.
_OVERDUE: Final = THREADS_SECONDS + 1.0


@dataclass(slots=True)
class _Child:
    number: int
    process: SpawnProcess
    link: Connection
    ready: bool = False


class Supervisor:
    """Starts workers that share the sockets, replaces those that die, and stops them together.

    A worker that cannot start stops everything if none has ever started: the same code and settings would
    fail the same way. Later it is tried again, with back-off, ``attempts`` times in a row. The parent serves
    nothing itself.
    """

    def __init__(
        self,
        factory: str,
        settings: ServiceSettings,
        sockets: Sockets,
        *,
        backoff: Backoff | None = None,
        attempts: int = 5,
    ) -> None:
        self._factory = factory
        self._settings = settings
        self._sockets = sockets
        self._backoff = backoff or Backoff(first=0.5, longest=10.0)
        self._attempts = attempts
        # Spawned, not forked: a child begins with no thread, lock or loop of its parent.
        self._context = multiprocessing.get_context("spawn")
        self._children: list[_Child] = []
        self._due: dict[int, float] = {}
        self._failed_starts = 0
        self._ever_ready = False
        self._deadline: float | None = None
        self._interrupts = 0
        self._stop_requested = False
        self._code = exits.OK

    def run(self) -> int:
        """Supervise until a signal or a failure, and return the exit code."""
        with self._signals() as wake:
            for number in range(self._settings.server.workers):
                self._start(number)
            while self._children or self._due:
                self._wait(wake)
                self._hear()
                self._collect()
                self._start_due()
                self._obey()
        log.info("stopped", pid=os.getpid())
        return self._code

    @property
    def _stopping(self) -> bool:
        return self._deadline is not None

    def _start(self, number: int) -> None:
        link, remote = self._context.Pipe()
        process = self._context.Process(
            target=work,
            args=(self._factory, self._settings, self._sockets, remote),
            name=f"worker-{number}",
        )
        with _blocked_signals():
            process.start()
        remote.close()  # so that the link ends when the worker does
        self._children.append(_Child(number, process, link))
        log.info("worker started", worker=number, pid=process.pid)

    def _wait(self, wake: socket.socket) -> None:
        sources: list[socket.socket | Connection | int] = [wake]
        for child in self._children:
            sources.append(child.process.sentinel)
            if not child.ready:
                sources.append(child.link)
        times = [*self._due.values(), *([] if self._deadline is None else [self._deadline])]
        wait(sources, None if not times else max(0.0, min(times) - time.monotonic()))
        with suppress(BlockingIOError):
            while wake.recv(64):
                pass

    def _hear(self) -> None:
        for child in self._children:
            if child.ready or not child.link.poll():
                continue
            with suppress(EOFError, OSError):
                child.link.recv()
                child.ready = self._ever_ready = True
                self._failed_starts = 0
                log.info("worker ready", worker=child.number, pid=child.process.pid)

    def _collect(self) -> None:
        for child in [child for child in self._children if not child.process.is_alive()]:
            child.process.join()
            child.link.close()
            self._children.remove(child)
            code = child.process.exitcode or 0
            if self._stopping:
                if code != exits.OK and self._code == exits.OK:
                    self._code = exits.FAILED
                continue
            if child.ready:
                log.error("worker died", worker=child.number, pid=child.process.pid, exit=_exit_text(code))
                self._due[child.number] = time.monotonic()
                continue
            self._failed_starts += 1
            log.error(
                "worker cannot start", worker=child.number, pid=child.process.pid, exit=_exit_text(code)
            )
            if not self._ever_ready or self._failed_starts >= self._attempts:
                log.critical("giving up: workers cannot start", attempts=self._failed_starts)
                self._code = code if code > 0 else exits.FAILED
                self._stop_all()
                continue
            delay = self._backoff.delay(self._failed_starts, 1.0)
            self._due[child.number] = time.monotonic() + delay

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, when in self._due.items() if when <= now]:
            del self._due[number]
            self._start(number)

    def _obey(self) -> None:
        if self._stop_requested and not self._stopping:
            log.info("draining", workers=len(self._children))
            self._stop_all()
        if self._interrupts > 1:
            self._kill("stopped at once", exits.FORCED)
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self._kill("worker does not stop", exits.FAILED)

    def _stop_all(self) -> None:
        settings = self._settings
        self._deadline = time.monotonic() + settings.lifecycle.longest_stop(settings.environment) + _OVERDUE
        self._due.clear()
        # The queue of a listening socket lives as long as any process holds it open: leave nobody in it.
        self._sockets.close()
        for child in self._children:
            with suppress(OSError):  # it has just died
                child.link.send("stop")
            child.process.terminate()

    def _kill(self, event: str, code: int) -> None:
        for child in self._children:
            log.error(event, worker=child.number, pid=child.process.pid)
            child.process.kill()
            child.process.join()
        self._code = code

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Note signals, and yield a socket that becomes readable with each of them."""

        def note(number: int, _: FrameType | None) -> None:
            self._stop_requested = True
            self._interrupts += number == signal.SIGINT

        reader, writer = socket.socketpair()
        with reader, writer:
            reader.setblocking(False)
            writer.setblocking(False)
            before = {number: signal.signal(number, note) for number in stopping_signals()}
            wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            try:
                yield reader
            finally:
                signal.set_wakeup_fd(wakeup)
                for number, handler in before.items():
                    signal.signal(number, handler)


def work(factory: str, settings: ServiceSettings, sockets: Sockets, link: Connection) -> None:
    """Be a worker: the function that a child process runs."""

    def ready() -> None:
        with suppress(OSError):  # the parent has gone
            link.send("ready")

    with Stop(ignore_terminal=True).installed() as stop:
        stop.request_with_parent()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
        # The parent says something only when it stops all workers, and ends the link when it dies.
        worker = Worker(factory, settings, sockets, stop=stop, on_ready=ready, is_last=link.poll)
        code = worker.run()
    sys.exit(code)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """Start a child with its signals on hold until it has handlers: the default ones would kill it."""
    # Starting this process of multiprocessing's own would lift the block before the child is started.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
