"""Where finished lines go. Whoever logs sees no failure here; what could not be written is counted."""

import os
import sys
import threading
import weakref
from typing import BinaryIO, Protocol, TextIO, cast

_END_OF_LINE = ord("\n")


class Sink(Protocol):
    """Takes finished lines. Must not raise."""

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""

    def write(self, line: bytes) -> None:
        """Take one line, or several, with their ends of line."""

    def flush(self) -> None:
        """Hand over everything taken so far."""


class StreamSink:
    """Writes lines at once to standard output, in bytes, whole lines in the order of the calls.

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
        """Write one line or several, or count those as dropped that are not written to their end."""
        with self._lock:
            left = self._write(line)
            if left:
                self.dropped += max(1, line.count(b"\n", -left))

    def flush(self) -> None:
        """Hand over what the stream itself still holds."""
        with self._lock:
            try:
                stream = self.stream
                if stream is not None:
                    stream.flush()
            except Exception:  # noqa: BLE001  # as in _write
                return

    def _write(self, lines: bytes) -> int:
        """Return how many bytes of the end were not written."""
        rest = memoryview(b"\n" + lines if self._torn else lines)
        try:
            stream = self.stream
            if stream is None:
                return len(lines)
            binary = getattr(stream, "buffer", None)
            if binary is None:
                stream.write(lines.decode("utf-8", "backslashreplace"))
                stream.flush()
                return 0
            # The raw file keeps no rest of a failed line that would break the exit of the process later.
            raw = cast("BinaryIO", getattr(binary, "raw", binary))
            if raw is not binary:
                stream.flush()
            while rest:
                written = raw.write(rest)
                if not written:
                    break
                self._torn = rest[written - 1] != _END_OF_LINE
                rest = rest[written:]
            if raw is binary:
                raw.flush()
        except Exception:  # noqa: BLE001  # whatever stands there as standard output may raise anything
            return min(max(1, len(rest)), len(lines))
        return min(len(rest), len(lines))

    def _renew(self) -> None:
        self._lock = threading.RLock()


def _renew(reference: "weakref.ref[StreamSink]") -> None:
    sink = reference()
    if sink is not None:
        sink._renew()  # noqa: SLF001  # the fork hook of this very class
