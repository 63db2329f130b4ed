"""Where finished lines go. Whoever logs sees no failure here; what could not be written is counted."""

import os
import sys
import threading
import weakref
from typing import BinaryIO, Protocol, TextIO, cast


class Sink(Protocol):
    """Takes finished lines. Must not raise."""

    dropped: int
    """Lines that could not be written."""

    def write(self, line: bytes) -> None:
        """Take one line, its end of line included."""

    def flush(self) -> None:
        """Hand over everything taken so far."""


class StreamSink:
    """Writes each line at once to standard output, in bytes, whole lines in the order of the calls.

    ``stream`` None stands for what ``sys.stdout`` is at the time of each write. A closed or broken stream,
    one that would block and a full disk drop the line and count it. The lock is reentrant, because a signal
    handler may log, and is made anew after a fork.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.dropped = 0
        self._stream = stream
        self._torn = False
        self._renew()
        reference = weakref.ref(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _renew(reference))

    @property
    def stream(self) -> TextIO | None:
        """The stream in use now; None when the process has no standard output."""
        return sys.stdout if self._stream is None else self._stream

    def write(self, line: bytes) -> None:
        """Write one line, or count it as dropped."""
        with self._lock:
            try:
                self._write(line)
            except (OSError, ValueError, AttributeError):
                self.dropped += 1

    def flush(self) -> None:
        """Hand over what the stream itself still holds."""
        with self._lock:
            try:
                stream = self.stream
                if stream is not None:
                    stream.flush()
            except (OSError, ValueError, AttributeError):
                return

    def _write(self, line: bytes) -> None:
        stream = self.stream
        if stream is None:
            raise OSError("the process has no standard output")
        binary = getattr(stream, "buffer", None)
        if binary is None:
            stream.write(line.decode("utf-8", "backslashreplace"))
            stream.flush()
            return
        # The raw file keeps no rest of a failed line that would break the exit of the process later.
        raw = cast("BinaryIO", getattr(binary, "raw", binary))
        if raw is not binary:
            stream.flush()
        rest = memoryview(b"\n" + line if self._torn else line)
        while rest:
            written = raw.write(rest)
            if not written:
                raise OSError("standard output takes no more")
            self._torn = True
            rest = rest[written:]
        self._torn = False
        if raw is binary:
            raw.flush()

    def _renew(self) -> None:
        self._lock = threading.RLock()


def _renew(reference: "weakref.ref[StreamSink]") -> None:
    sink = reference()
    if sink is not None:
        sink._renew()  # noqa: SLF001  # the fork hook of this very class
