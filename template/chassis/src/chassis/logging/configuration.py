"""Logging of the process: put in place once, taken away by tests, changed while it runs."""

import logging
import sys
from collections.abc import Mapping
from typing import NamedTuple

from chassis.logging.access_lines import AccessLines
from chassis.logging.buffer import Buffer
from chassis.logging.hooks import Hooks
from chassis.logging.loggers import ACTIVE, StandardHandler, configure_structlog
from chassis.logging.pipeline import Enrich, Pipeline
from chassis.logging.render import Renderer, render_console, render_json, rich_renderer
from chassis.logging.settings import Choices, LoggingSettings, Problem, choose, level_number
from chassis.logging.sink import Sink, StreamSink
from chassis.masking import Masker, use_rules
from chassis.structured import structlog

QUIET: Mapping[str, int] = {
    "aiosqlite": logging.INFO,
    "asyncio": logging.INFO,
    "botocore": logging.INFO,
    "concurrent.futures": logging.INFO,
    "grpc": logging.INFO,
    "h2": logging.INFO,
    "hpack": logging.INFO,
    "httpcore": logging.INFO,
    "httpcore2": logging.INFO,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "markdown_it": logging.INFO,
    "multipart": logging.INFO,
    "opentelemetry.trace.span": logging.ERROR,  # it warns of each request whose tracestate is broken
    "python_multipart": logging.INFO,
    "urllib3": logging.INFO,
    "watchfiles": logging.WARNING,
    "websockets": logging.INFO,
}
"""Levels of third-party loggers that say too much otherwise; ``LOG_LEVELS`` overrides each."""

_SILENCED = "uvicorn.access"
_LOGGER = "chassis.logging"


class _LoggerState:
    """What a standard logger was before."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.level = logger.level
        self.propagate = logger.propagate
        self.disabled = logger.disabled
        self.removed: list[logging.Handler] = []

    def remove(self, handlers: list[logging.Handler]) -> None:
        self.removed = handlers
        for handler in handlers:
            self.logger.removeHandler(handler)

    def restore(self) -> None:
        """Put back what was changed; handlers that others added or took away since stay as they are."""
        self.logger.setLevel(self.level)
        self.logger.propagate = self.propagate
        self.logger.disabled = self.disabled
        for handler in self.removed:
            self.logger.addHandler(handler)


class _Installation(NamedTuple):
    """What ``configure_logging`` changed, for ``unconfigure_logging`` to put back."""

    hooks: Hooks
    handler: logging.Handler
    loggers: list[_LoggerState]
    raise_exceptions: bool


class _Installed:
    """The installation of this process."""

    now: _Installation | None = None


def configure_logging(
    settings: LoggingSettings,
    *,
    service: str,
    environment: str,
    enrich: Enrich | None = None,
    sink: Sink | None = None,
) -> None:
    """Send everything the process logs through one pipeline, to standard output. The first call wins.

    ``enrich`` is asked for fields on every line (trace ids); a buffered access line has those of its request
    alone. A setting that makes no sense is told in a warning that names its variable, and a default is used:
    this function never raises for one. ``sink`` takes the lines instead of standard output, each at once.
    """
    if ACTIVE.pipeline is not None:
        return
    choices = choose(settings, environment)
    target = _target(sink, choices)
    masker = Masker(mask_ips=choices.mask_ips, sensitive_keys=choices.sensitive_keys)
    use_rules(masker)
    ACTIVE.pipeline = pipeline = Pipeline(
        target,
        service=service,
        environment=environment,
        render=_renderer(choices, target),
        masker=masker,
        caller=choices.caller,
        enrich=enrich,
    )
    if sink is None and choices.flush_interval > 0:
        _buffer(pipeline, choices)
    hooks, handler = Hooks(), StandardHandler()
    _Installed.now = _Installation(hooks, handler, _take_over(choices, handler), logging.raiseExceptions)
    logging.raiseExceptions = False
    hooks.install()
    configure_structlog()
    for problem in choices.problems:
        fields = {"variable": problem.variable, "problem": problem.problem, "used": problem.used}
        ACTIVE.pipeline.emit(_LOGGER, "warning", "broken logging setting", fields)


def unconfigure_logging() -> None:
    """Put everything back as it was before ``configure_logging``. For tests."""
    installed = _Installed.now
    if installed is None:
        return
    flush_logs()
    sink = ACTIVE.get().sink
    if isinstance(sink, Buffer):
        sink.close()
    installed.hooks.remove()
    logging.getLogger().removeHandler(installed.handler)
    for state in installed.loggers:
        state.restore()
    logging.raiseExceptions = installed.raise_exceptions
    structlog.reset_defaults()
    use_rules(None)
    ACTIVE.pipeline = None
    ACTIVE.put_access = None
    _Installed.now = None


def set_level(logger: str, level: str | int) -> None:
    """Change the level of a logger and those below it, at once; ``root`` or an empty name is all of them.

    Raises ValueError for a level that does not exist.
    """
    logging.getLogger("" if logger == "root" else logger).setLevel(level_number(level))


def flush_logs() -> None:
    """Write every line that was taken so far; waits 2 seconds at most for an output that takes nothing.

    The end of the process calls it. Call it before ``os._exit``.
    """
    ACTIVE.get().sink.flush()


def dropped_lines() -> int:
    """Return how many lines could not be written, or found the buffer full, since the start of logging."""
    return ACTIVE.get().sink.dropped


def _target(sink: Sink | None, choices: Choices) -> Sink:
    if sink is not None:
        return sink
    if sys.stdout is not None and not sys.stdout.closed:
        return StreamSink()
    choices.problems.append(Problem("stdout", "standard output is closed", "standard error"))
    return StreamSink(sys.stderr)


def _buffer(pipeline: Pipeline, choices: Choices) -> None:
    """Put a buffer before the sink; access lines wait in it as they are, if their form is the quick one."""
    lines = AccessLines(pipeline)
    buffer = Buffer(
        pipeline.sink,
        interval=choices.flush_interval,
        most_lines=choices.buffer_lines,
        render=lines.render,
        report=lambda count: pipeline.line(
            _LOGGER, "warning", "log lines dropped", {"count": count}, around={}
        ),
    )
    pipeline.send_to(buffer)
    if choices.format == "json" and not choices.caller:
        ACTIVE.put_access = buffer.put


def _renderer(choices: Choices, target: Sink) -> Renderer:
    if choices.format == "console":
        return render_console
    if choices.format == "rich":
        stream = getattr(target, "stream", None)
        try:
            return rich_renderer(color=stream is not None and stream.isatty())
        except ImportError:
            choices.problems.append(Problem("LOG_FORMAT", "the package rich is not installed", "json"))
        except (OSError, ValueError) as error:
            choices.problems.append(Problem("LOG_FORMAT", f"rich cannot be used: {error}", "json"))
    return render_json


def _take_over(choices: Choices, handler: logging.Handler) -> list[_LoggerState]:
    """Leave one handler, on the root logger, and set the levels; return what was there."""
    root = logging.getLogger()
    names = {*logging.root.manager.loggerDict, *QUIET, *choices.levels, _SILENCED}
    before = [_LoggerState(root), *(_LoggerState(logging.getLogger(name)) for name in sorted(names))]
    for state in before:
        is_uvicorn = state.logger.name.partition(".")[0] == "uvicorn"
        state.remove([found for found in state.logger.handlers if is_uvicorn or _writes_to_console(found)])
        state.logger.disabled = False
        if is_uvicorn or state.removed:
            state.logger.propagate = True
    for name, level in QUIET.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)
    silenced = logging.getLogger(_SILENCED)  # the request layer writes the access lines
    silenced.propagate = False
    silenced.setLevel(logging.CRITICAL + 1)
    for name, level in choices.levels.items():
        set_level(name, level)
    root.setLevel(choices.level)
    root.addHandler(handler)
    return before


def _writes_to_console(handler: logging.Handler) -> bool:
    stream: object = getattr(handler, "stream", None)
    return stream is not None and any(
        stream is console for console in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    )
