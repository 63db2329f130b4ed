"""The two kinds of loggers, structlog's and the standard library's, on one pipeline.

The levels of both are those of the standard library's loggers, so they can change while the process runs.
"""

import inspect
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import Any, cast

from structlog.typing import BindableLogger, EventDict, WrappedLogger
from typing_extensions import override

from chassis.logging.pipeline import Pipeline, is_internal
from chassis.logging.sink import StreamSink
from chassis.structured import structlog

_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_NAMES = {"warn": "warning", "fatal": "critical", "msg": "info", "exception": "error"}
_OWN_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class Active:
    """The pipeline of the process; before ``configure_logging`` a plain one: masked JSON to stdout.

    ``put_access`` takes an access line that is not yet rendered; None when each is rendered at once.
    """

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.put_access: Callable[[object], None] | None = None
        self._early: Pipeline | None = None

    def get(self) -> Pipeline:
        """Return the pipeline in use."""
        if self.pipeline is not None:
            return self.pipeline
        if self._early is None:
            self._early = Pipeline(StreamSink())
        return self._early


ACTIVE = Active()


class Channel:
    """What a structlog logger writes to: a name, its level, the process's pipeline."""

    __slots__ = ("name", "standard")

    def __init__(self, name: str) -> None:
        self.name = name
        self.standard = logging.getLogger(name)

    def is_enabled_for(self, level: int) -> bool:
        """Tell whether this level is logged now."""
        return self.standard.isEnabledFor(level)


def channel(name: str | None = None, *_: object) -> Channel:
    """Make the channel of ``structlog.get_logger(name)``, by default named after the calling module."""
    return Channel(_calling_module() if name is None else str(name))


def to_line(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> bytes:
    """Turn structlog's event into a line: the one processor of the chain."""
    own = dict(event_dict)
    return ACTIVE.get().line(
        logger.name,
        method_name,
        own.pop("event", None),
        own,
        exc_info=own.pop("exc_info", None),
        stack=_stack() if own.pop("stack_info", None) else None,
    )


PROCESSORS: list[structlog.typing.Processor] = [to_line]
"""One list for the life of the process: loggers hold it, structlog's ``capture_logs`` changes it in place."""


class BoundLogger(structlog.BoundLoggerBase):
    """The usual structlog methods; levels can change at run time, wrong ``%`` arguments do no harm.

    The variants with ``a`` (``ainfo``) exist for compatibility: they log at once.
    """

    _logger: Channel

    def debug(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at debug level."""
        self._log("debug", event, args, fields)

    def info(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at info level."""
        self._log("info", event, args, fields)

    def warning(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at warning level."""
        self._log("warning", event, args, fields)

    def error(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at error level."""
        self._log("error", event, args, fields)

    def critical(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at critical level."""
        self._log("critical", event, args, fields)

    def exception(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at error level with the traceback of the exception being handled."""
        fields.setdefault("exc_info", True)
        self._log("error", event, args, fields)

    def log(self, level: int | str, event: object = None, *args: object, **fields: object) -> None:
        """Log at a level given as a number or a name; a number between two levels counts as the lower one."""
        if isinstance(level, str):
            self._log(_NAMES.get(level.lower(), level.lower()), event, args, fields)
        elif self._logger.is_enabled_for(level):
            self._log(level_name(level), event, args, fields)

    msg = info
    warn = warning
    fatal = critical
    err = error

    async def adebug(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at debug level."""
        self._log("debug", event, args, fields)

    async def ainfo(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at info level."""
        self._log("info", event, args, fields)

    async def awarning(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at warning level."""
        self._log("warning", event, args, fields)

    async def aerror(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at error level."""
        self._log("error", event, args, fields)

    async def acritical(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at critical level."""
        self._log("critical", event, args, fields)

    async def aexception(self, event: object = None, *args: object, **fields: object) -> None:
        """Log at error level with the traceback of the exception being handled."""
        fields.setdefault("exc_info", True)
        self._log("error", event, args, fields)

    def is_enabled_for(self, level: int) -> bool:
        """Tell whether this level is logged now."""
        return self._logger.is_enabled_for(level)

    def get_effective_level(self) -> int:
        """Return the least important level that is logged now."""
        return self._logger.standard.getEffectiveLevel()

    def _log(self, level: str, event: object, args: tuple[object, ...], fields: dict[str, object]) -> None:
        if not self._logger.is_enabled_for(_OWN_LEVELS.get(level, logging.INFO)):
            return
        if args:
            event, fields = _interpolated(event, args, fields)
        try:
            line, _ = self._process_event(level, cast("str", event), cast("dict[str, Any]", fields))
        except structlog.DropEvent:
            return
        ACTIVE.get().write(level, line[0])


class StandardHandler(logging.Handler):
    """The one handler of the process: on the root logger, for every record of every standard logger."""

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        """Log a record. The sink has its own lock, so none is held while fields are masked."""
        passed: object = self.filter(record)
        if passed:
            self.emit(
                passed if isinstance(passed, logging.LogRecord) else record
            )  # 3.12: filters replace records
        return bool(passed)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; never raises."""
        own = {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
        event: object
        try:
            event = record.getMessage()
        except Exception:  # noqa: BLE001  # as the arguments of the caller may do
            event, own = _mismatch(record.msg, cast("tuple[object, ...]", record.args), own)
        ACTIVE.get().emit(
            record.name,
            level_name(record.levelno),
            event,
            own,
            at=datetime.fromtimestamp(record.created, UTC),
            caller={"file": record.pathname, "line": record.lineno, "function": record.funcName},
            exc_info=record.exc_info,
            stack=record.stack_info,
        )


def level_name(level: int) -> str:
    """Return the name of the highest level that is not above this number."""
    for name, number in reversed(_OWN_LEVELS.items()):
        if level >= number:
            return name
    return "debug"


def configure_structlog() -> None:
    """Point structlog at the pipeline, loggers made before included."""
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=cast("type[BindableLogger]", BoundLogger),
        context_class=dict,
        logger_factory=channel,
        cache_logger_on_first_use=True,
    )


def _interpolated(
    event: object, args: tuple[object, ...], fields: dict[str, object]
) -> tuple[object, dict[str, object]]:
    values: object = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
    try:
        return str(event) % values, fields
    except Exception:  # noqa: BLE001  # as the arguments of the caller may do
        return _mismatch(event, args, fields)


def _mismatch(
    event: object, args: tuple[object, ...], fields: Mapping[str, object]
) -> tuple[object, dict[str, object]]:
    return event, {**fields, "args": args, "log_error": "the arguments do not fit the message"}


def _calling_module() -> str:
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and is_internal(frame):
        frame = frame.f_back
    return "root" if frame is None else str(frame.f_globals.get("__name__", "root"))


def _stack() -> str:
    import traceback

    frame: FrameType | None = inspect.currentframe()
    while frame is not None and is_internal(frame):
        frame = frame.f_back
    return "Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)) if frame else ""
