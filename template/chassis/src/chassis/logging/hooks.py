"""What Python itself would print in clear goes through the pipeline.

These are uncaught exceptions, also of threads and of the event loop, exceptions that nobody can catch, and
warnings.
"""

import asyncio
import sys
import threading
import warnings
from types import TracebackType
from typing import Any, TextIO

from chassis.logging.loggers import ACTIVE

_LOGGER = "chassis.process"


class Hooks:
    """Puts the hooks in place and puts back what was there."""

    def __init__(self) -> None:
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)

    def install(self) -> None:
        """Take over."""
        sys.excepthook = log_uncaught
        threading.excepthook = log_uncaught_in_thread
        sys.unraisablehook = log_unraisable
        warnings.showwarning = self.log_warning

    def remove(self) -> None:
        """Put back what was there."""
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = self._before

    def log_warning(  # noqa: PLR0917  # the signature of warnings.showwarning
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Log a warning, unless it is to be written to a file."""
        if file is not None:
            self._before[3](message, category, filename, lineno, file, line)
            return
        where = {"file": filename, "line": lineno}
        ACTIVE.get().emit("py.warnings", "warning", str(message), {"category": category.__name__, **where})


def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the exception that ends the process. Ctrl-C is left to Python."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    pipeline = ACTIVE.get()
    pipeline.emit(_LOGGER, "critical", "uncaught exception", {}, exc_info=error, caller=_origin(error))
    pipeline.sink.flush()


def log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    """Log the exception that ends a thread."""
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread else None
    pipeline = ACTIVE.get()
    pipeline.emit(
        _LOGGER,
        "critical",
        "uncaught exception in thread",
        {"thread": name},
        exc_info=args.exc_value,
        caller=_origin(args.exc_value),
    )
    pipeline.sink.flush()


def log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    """Log an exception that nobody can catch, as in ``__del__``."""
    fields = {"object": args.object, "detail": args.err_msg}
    ACTIVE.get().emit(
        _LOGGER, "error", "exception ignored", fields, exc_info=args.exc_value, caller=_origin(args.exc_value)
    )


def log_loop_exceptions(loop: asyncio.AbstractEventLoop) -> None:
    """Log what this event loop would print: exceptions of forgotten tasks, of callbacks and transports."""
    loop.set_exception_handler(_log_loop_exception)


def _log_loop_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    fields = {name: value for name, value in context.items() if name not in {"message", "exception"}}
    error = context.get("exception")
    ACTIVE.get().emit(
        "asyncio",
        "error",
        context.get("message") or "unhandled exception in event loop",
        fields,
        exc_info=error,
        caller=_origin(error),
    )


def _origin(error: BaseException | None) -> dict[str, object]:
    trace = error.__traceback__ if error is not None else None
    if trace is None:
        return {"file": "?", "line": 0, "function": "?"}
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return {"file": code.co_filename, "line": trace.tb_lineno, "function": code.co_name}
