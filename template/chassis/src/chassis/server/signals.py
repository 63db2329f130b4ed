"""What asks the process to stop."""

import asyncio
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["Stop", "stopping_signals"]


def stopping_signals() -> tuple[signal.Signals, ...]:
    """Return what asks a process to stop; the closing of its terminal only where that is not ignored (nohup)."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hangs_up else []))


class Stop:
    """A request to stop: SIGTERM, SIGINT or SIGHUP, or ``request``. A second SIGINT forces.

    The handlers are installed before the application is built: process 1 of a container has no default ones,
    so a signal that came early would be lost. A worker ignores what a terminal sends to the whole process
    group, SIGINT and SIGHUP, because its parent already passes the wish on as SIGTERM.
    """

    def __init__(self, *, ignore_terminal: bool = False) -> None:
        self.requested = False
        self.forced = False
        self._ignore_terminal = ignore_terminal
        self._interrupted = False
        self._with_parent = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._request_event = asyncio.Event()
        self._force_event = asyncio.Event()

    @contextmanager
    def installed(self) -> Iterator["Stop"]:
        """Handle the signals inside the block. Needs the main thread."""
        before = {number: signal.getsignal(number) for number in stopping_signals()}
        for number in before:
            ignored = self._ignore_terminal and number != signal.SIGTERM
            signal.signal(number, signal.SIG_IGN if ignored else self._handle)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake the waiters on this loop from now on."""
        self._loop = loop
        self._wake()
        parent = multiprocessing.parent_process() if self._with_parent else None
        if parent is not None:
            loop.add_reader(parent.sentinel, self._orphaned, parent.sentinel)

    def request(self) -> None:
        """Ask for a stop, as SIGTERM does."""
        self.requested = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: it has stopped already
                self._loop.call_soon_threadsafe(self._wake)

    def request_with_parent(self) -> None:
        """In a child process, ask for a stop too when the parent ends: nobody would ask any more."""
        self._with_parent = True

    async def wait_requested(self) -> None:
        """Return when a stop is asked for."""
        await self._request_event.wait()

    async def wait_forced(self) -> None:
        """Return when a second SIGINT forces the stop."""
        await self._force_event.wait()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT:
            self.forced = self._interrupted
            self._interrupted = True
        self.request()

    def _orphaned(self, sentinel: int) -> None:
        if self._loop is not None:
            self._loop.remove_reader(sentinel)
        self.request()

    def _wake(self) -> None:
        if self.requested:
            self._request_event.set()
        if self.forced:
            self._force_event.set()
