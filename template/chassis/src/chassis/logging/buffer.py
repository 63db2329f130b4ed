"""The buffer before the sink: whoever logs only appends, and one thread renders and writes.

Nothing that is appended waits for the output: a full disk, a blocked pipe or a slow reader costs lines, not
time. Lines leave in the order in which they came.
"""

import atexit
import os
import select
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

from chassis.logging.sink import Sink

MOST_BYTES: Final = 16 * 1024 * 1024
"""Bytes of finished lines that wait at most, beside those that are being written.

Entries that are not yet rendered are small and count as lines alone.
"""
FLUSH_SECONDS: Final = 2.0
"""How long ``flush`` waits for an output that takes nothing."""

# What stands in one write reaches a pipe whole (POSIX, write): lines of several workers never mix.
_ONE_WRITE: Final = getattr(select, "PIPE_BUF", 512)
# About as many lines as fit into one write. Between two writes other threads get their turn.
_BATCH: Final = 10
_STUCK_SECONDS: Final = 0.1
_FIRST: Final = "first"
_NOW: Final = "now"
_END: Final = "end"


class Buffer:
    """A sink that hands its lines to another one, from a thread and at an interval in seconds.

    It keeps ``most_lines`` entries: finished lines, and other objects; ``render`` makes lines of both in the
    thread. When it is full, new ones are dropped and counted, and ``report`` makes the line that tells how many
    as soon as there is room again. The thread starts with the first line and sleeps while there is none.
    """

    _entries: deque[Any]
    _thread: threading.Thread | None
    _wishes: "SimpleQueue[object]"
    _asleep: bool
    _hurried: bool
    _stuck: bool
    _bytes: int

    def __init__(
        self,
        target: Sink,
        *,
        interval: float,
        most_lines: int,
        render: Callable[[list[Any]], list[bytes]],
        report: Callable[[int], bytes],
    ) -> None:
        self._target = target
        self._interval = interval
        self._most_lines = most_lines
        self._render = render
        self._report = report
        self._lost = 0
        self._reported = 0
        self._ended = False
        self._renew()
        reference = weakref.ref(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: _call(reference, Buffer.flush),
                after_in_child=lambda: _call(reference, Buffer._renew),
            )

    @property
    def dropped(self) -> int:
        """Lines that found no room, and those that the output did not take."""
        return self._lost + self._target.dropped

    def write(self, line: bytes) -> None:
        """Take one line. Never waits."""
        with self._lock:  # held for these lines alone, never for a write
            has_room = self._bytes + len(line) <= MOST_BYTES and len(self._entries) < self._most_lines
            if has_room:
                self._bytes += len(line)
            else:
                self._lost += 1
        if has_room:
            self._entries.append(line)
            if self._asleep:
                self._wake(_FIRST)

    def put(self, entry: object) -> None:
        """Take what ``render`` makes a line of. Never waits."""
        # A deque appends and pops whole in one step of the interpreter: no lock on the way of a request.
        if len(self._entries) < self._most_lines:
            self._entries.append(entry)
            if self._asleep:
                self._wake(_FIRST)
        else:
            with self._lock:
                self._lost += 1

    def hurry(self) -> None:
        """Have what was taken written now. Does not wait for it."""
        if not self._hurried:
            self._hurried = True
            self._wake(_NOW)

    def flush(self) -> None:
        """Write everything taken so far, and return when it is written or the output takes nothing."""
        thread = self._thread
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            self._drain()
            if not self._stuck:
                self._target.flush()
            return
        # Not an event: its lock would not be reentrant, and a signal handler may log and flush.
        done = threading.Lock()
        done.acquire()
        self._wishes.put(done)
        # Only the first one who waits for a dead output waits long, so that a stop is not held up again and again.
        self._stuck = not done.acquire(timeout=_STUCK_SECONDS if self._stuck else FLUSH_SECONDS)

    def close(self) -> None:
        """Flush, and end the thread. What comes later is written at once."""
        self._end()
        thread = self._thread
        if thread is not None:
            self._wishes.put(_END)
            thread.join(_STUCK_SECONDS if self._stuck else FLUSH_SECONDS)
        atexit.unregister(self._end)

    def _end(self) -> None:
        self.flush()
        self._ended = True
        self._asleep = True  # so that each line is seen to at once

    def _wake(self, wish: str) -> None:
        if not self._ended:
            self._asleep = False
            if self._thread is not None or self._start():
                self._wishes.put(wish)
                return
        self._hurried = False
        self._drain()

    def _start(self) -> bool:
        with self._lock:
            if self._thread is not None:
                return True
            thread = threading.Thread(target=self._run, args=(self._wishes,), name="logging", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                self._asleep = True
                return False
            self._thread = thread
            atexit.register(self._end)
            # A child that multiprocessing forked runs its own end and no atexit function.
            processes = sys.modules.get("multiprocessing.util")
            if processes is not None:
                processes.Finalize(None, self.flush, exitpriority=0)
            return True

    def _run(self, wishes: "SimpleQueue[object]") -> None:
        asleep = True
        while True:
            try:
                wish = wishes.get(timeout=None if asleep else self._interval)
            except Empty:
                wish = None
            if asleep and wish is _FIRST:
                asleep = False  # an interval begins, in which more may come
                continue
            self._hurried = False
            written = self._drain()
            self._stuck = False
            if wish is _END:
                return
            if wish is not None and not isinstance(wish, str):
                self._target.flush()
                wish.release()  # type: ignore[attr-defined]  # the lock of one who waits in flush
            asleep = not written
            self._asleep = asleep or self._ended
            if asleep and self._entries:  # appended before it could be seen that nobody is awake
                asleep = False
                self._asleep = self._ended

    def _drain(self) -> int:
        """Write what is there now, and return how many lines that were."""
        if self._ended and self._stuck:
            return 0  # at the end of the process nobody waits for a dead output again
        failed, lost = self._target.dropped, self._lost
        entries = self._entries
        with self._lock:
            self._bytes = 0  # of those that come while these are written
        left = count = len(entries)
        while left > 0:
            try:
                batch = [entries.popleft() for _ in range(min(left, _BATCH))]
            except IndexError:  # another thread writes too, at the end of the process
                break
            self._hand_over(batch)
            left -= _BATCH
        if count and self._target.dropped == failed and self._lost == lost and self.dropped > self._reported:
            missing, self._reported = self.dropped - self._reported, self.dropped
            self._hand_over([self._report(missing)])
        return count

    def _hand_over(self, batch: list[Any]) -> None:
        try:
            self._write(self._render(batch))
        except Exception:  # noqa: BLE001  # memory may be short, and with the thread the log would end
            with self._lock:
                self._lost += len(batch)

    def _write(self, lines: list[bytes]) -> None:
        together = b"".join(lines)
        if len(together) <= _ONE_WRITE or len(lines) == 1:
            self._target.write(together)
            return
        half = len(lines) // 2
        self._write(lines[:half])
        self._write(lines[half:])

    def _renew(self) -> None:
        """Begin empty: after a fork the parent writes what it had, and its thread is not in the child."""
        self._entries = deque()
        self._bytes = 0
        self._lock = threading.RLock()  # reentrant, because a signal handler may log
        self._wishes = SimpleQueue()
        self._thread = None
        self._asleep = True
        self._hurried = False
        self._stuck = False


def _call(reference: "weakref.ref[Buffer]", method: Callable[[Buffer], None]) -> None:
    buffer = reference()
    if buffer is not None:
        method(buffer)
