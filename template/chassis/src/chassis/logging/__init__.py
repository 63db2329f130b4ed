"""Structured logging: one pipeline for structlog, standard loggers, warnings and uncaught exceptions.

- ``configuration``: ``configure_logging``, once per process, and what changes or removes it
- ``settings``: ``LoggingSettings`` (``LOG_*``)
- ``pipeline``, ``render``, ``sink``: an event becomes a line and is written
- ``loggers``, ``hooks``: where events come from
- ``events``, ``access``: events with fixed field names
"""

from typing import Any

from chassis.logging.access import AccessLog
from chassis.logging.configuration import (
    configure_logging,
    dropped_lines,
    flush_logs,
    set_level,
    unconfigure_logging,
)
from chassis.logging.events import log_api_call, log_database_operation, log_security_event, log_task
from chassis.logging.hooks import log_loop_exceptions
from chassis.logging.settings import LoggingSettings
from chassis.logging.sink import Sink, StreamSink
from chassis.structured import structlog

__all__ = [
    "AccessLog",
    "LoggingSettings",
    "Sink",
    "StreamSink",
    "configure_logging",
    "dropped_lines",
    "flush_logs",
    "get_logger",
    "log_api_call",
    "log_database_operation",
    "log_loop_exceptions",
    "log_security_event",
    "log_task",
    "set_level",
    "unconfigure_logging",
]


def get_logger(name: str) -> Any:
    """Return a structlog logger (``log.info("event", key=value)``), also before ``configure_logging``."""
    return structlog.get_logger(name)
