"""From an event to a line: the fixed fields, the context, the masks, the form, the sink.

An event's own field cannot pose as a fixed one: ``log.info("x", service="other")`` writes ``service_``.
"""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType

from chassis.context import current
from chassis.logging.render import Renderer, render_json
from chassis.logging.sink import Sink
from chassis.masking import Masker

FIXED = (
    "timestamp",
    "level",
    "event",
    "service",
    "environment",
    "logger",
    "caller",
    "request_id",
    "trace_id",
    "span_id",
    "exception",
    "stack",
)
"""The fields that the pipeline alone writes, in this order (``exception`` and ``stack`` last of all)."""

Enrich = Callable[[], Mapping[str, object]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_FIXED = frozenset(FIXED)
_IDS = ("request_id", "trace_id", "span_id")
ACCESS = "chassis.access"
"""The logger whose lines name no caller: it is the request layer, always."""
_PACKAGES = f"site-packages{os.sep}"
_INTERNAL = ("structlog", "chassis.logging", "logging", "warnings")
_FRAME = re.compile(r"[\s|+\-]*File \"")
_URGENT = frozenset({"error", "critical"})
_MOST_FRAMES = 100
_LONGEST_TRACEBACK = 65_536


class Pipeline:
    """Turns events into lines and hands them to a sink. Neither method raises."""

    def __init__(
        self,
        sink: Sink,
        *,
        service: str = "",
        environment: str = "",
        render: Renderer = render_json,
        masker: Masker | None = None,
        caller: bool = False,
        enrich: Enrich | None = None,
    ) -> None:
        self.send_to(sink)
        self.service = service
        self.environment = environment
        self._render = render
        self.masker = masker or Masker()
        self._caller = caller
        self._folder = _working_folder()
        self._enrich = enrich

    def send_to(self, sink: Sink) -> None:
        """Hand the lines to this sink from now on."""
        self.sink = sink
        self._hurry: Callable[[], None] | None = getattr(sink, "hurry", None)

    def emit(
        self,
        logger: str,
        level: str,
        event: object,
        own: Mapping[str, object],
        *,
        at: datetime | None = None,
        caller: Mapping[str, object] | None = None,
        exc_info: object = None,
        stack: object = None,
    ) -> None:
        """Write an event; the arguments are those of ``line``."""
        line = self.line(logger, level, event, own, at=at, caller=caller, exc_info=exc_info, stack=stack)
        self.write(level, line)

    def write(self, level: str, line: bytes) -> None:
        """Hand a line to the sink; one that tells of an error does not wait in a buffer."""
        self.sink.write(line)
        if level in _URGENT:
            self.hurry()

    def hurry(self) -> None:
        """Have a buffer write what it holds now; without one everything is written already."""
        if self._hurry is not None:
            self._hurry()

    def line(
        self,
        logger: str,
        level: str,
        event: object,
        own: Mapping[str, object],
        *,
        at: datetime | None = None,
        caller: Mapping[str, object] | None = None,
        exc_info: object = None,
        stack: object = None,
        around: Mapping[str, object] | None = None,
    ) -> bytes:
        """Return the line of an event.

        ``own`` are its own fields, ``at`` its time (now), ``caller`` where it was logged (the first frame
        outside the logging code), ``exc_info`` an exception, its tuple or True for the one being handled,
        ``around`` the fields of the context (those of this moment).
        """
        try:
            fields = self._fields(
                logger, level, event, own, at=at or datetime.now(UTC), caller=caller, around=around
            )
            exception = exception_of(exc_info)
            if stack:
                fields["stack"] = self.masker.text(str(stack))
            if exception is not None:
                fields["exception"] = format_exception(exception, self.masker)
            return self._render(fields)
        except Exception as error:  # noqa: BLE001  # logging must not fail the code that logs
            return self._failure(logger, level, error)

    def _fields(
        self,
        logger: str,
        level: str,
        event: object,
        own: Mapping[str, object],
        *,
        at: datetime,
        caller: Mapping[str, object] | None,
        around: Mapping[str, object] | None,
    ) -> dict[str, object]:
        masked = self.masker.value
        around = self._around() if around is None else dict(around)
        fields: dict[str, object] = {
            "timestamp": timestamp(at),
            "level": level,
            "event": event if event is None else masked("event", event),
            "service": self.service,
            "environment": self.environment,
            "logger": masked("logger", logger),
        }
        if self._caller and logger != ACCESS:
            found = find_caller() if caller is None else caller
            fields["caller"] = {**found, "file": self._shorter(str(found["file"]))}
        for name in _IDS:
            value = around.pop(name, None)
            if value is not None:
                fields[name] = masked(name, value)
        around.update(own)
        for name, value in self.masker.event(around).items():
            while name in _FIXED:
                name += "_"  # noqa: PLW2901  # the name that is free
            fields[name] = value
        return fields

    def _shorter(self, file: str) -> str:
        """Return the path of a source file from the folder of the service, or from that of a package."""
        return file.removeprefix(self._folder).rpartition(_PACKAGES)[2]

    def _around(self) -> dict[str, object]:
        fields = dict(current())
        if self._enrich is not None:
            try:
                fields.update(self._enrich())
            except Exception as error:  # noqa: BLE001  # a broken source of fields must not cost the line
                fields["enrich_error"] = type(error).__name__
        return fields

    def _failure(self, logger: str, level: str, error: Exception) -> bytes:
        return render_json(
            {
                "timestamp": timestamp(datetime.now(UTC)),
                "level": level,
                "event": "log event could not be rendered",
                "service": self.service,
                "environment": self.environment,
                "logger": self.masker.text(str(logger)),
                "error": type(error).__name__,
            }
        )


def timestamp(at: datetime) -> str:
    """Return a UTC time as ISO 8601 with microseconds and Z."""
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _working_folder() -> str:
    try:
        return f"{Path.cwd()}{os.sep}"
    except OSError:  # it was removed, or may not be read
        return ""


def find_caller() -> dict[str, object]:
    """Return the file, line and function of the first frame outside the logging code."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and is_internal(frame):
        frame = frame.f_back
    if frame is None:
        return {"file": "?", "line": 0, "function": "?"}
    code = frame.f_code
    return {"file": code.co_filename, "line": frame.f_lineno, "function": code.co_name}


def is_internal(frame: FrameType) -> bool:
    """Tell whether this frame belongs to the logging code."""
    module = str(frame.f_globals.get("__name__", ""))
    return any(module == name or module.startswith(f"{name}.") for name in _INTERNAL)


def exception_of(exc_info: object) -> BaseException | None:
    """Return the exception that the usual values of ``exc_info`` stand for, None when there is none."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 and isinstance(exc_info[1], BaseException) else None
    return sys.exception() if exc_info else None


def format_exception(exception: BaseException, masker: Masker) -> str:
    """Return the masked traceback, with causes, notes and groups; at most 100 frames and 65,536 characters.

    Frames are masked one by one, so that an open bracket in a source line hides no more than its own frame.
    """
    try:
        trace = traceback.TracebackException.from_exception(exception, limit=-_MOST_FRAMES, compact=True)
        chunks = list(trace.format())
    except Exception as error:  # noqa: BLE001  # an exception's own methods may raise anything
        return f"{type(exception).__name__} whose traceback raised {type(error).__name__}"
    parts: list[str] = []
    message: list[str] = []
    for chunk in chunks:
        if _FRAME.match(chunk):
            parts += masker.text("".join(message)), masker.text(chunk)
            message.clear()
        else:
            message.append(chunk)
    parts.append(masker.text("".join(message)))
    text = "".join(parts).rstrip("\n")
    if len(text) <= _LONGEST_TRACEBACK:
        return text
    half = _LONGEST_TRACEBACK // 2
    return f"{text[:half]}\n... [{len(text) - 2 * half} characters cut]\n{text[-half:]}"
