"""What is logged, caught as the lines that would leave the service."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chassis.logging import LoggingSettings

__all__ = ["CapturedLogs", "capture_logs"]


class CapturedLogs:
    """The lines of the log so far, each one JSON: masked and with every field, as a collector gets them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.dropped = 0

    def write(self, line: bytes) -> None:
        """Take a line, as a sink of ``chassis.logging`` does."""
        self.lines.append(line)

    def flush(self) -> None:
        """Do nothing: every line is here already."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events, oldest first."""
        return [json.loads(line) for line in self.lines]

    @property
    def text(self) -> str:
        """All lines as one text, to prove that something is in none of them."""
        return b"".join(self.lines).decode()

    def find(self, event: str | None = None, **fields: object) -> list[dict[str, Any]]:
        """Return the events of this name, or of any, that have these fields."""
        wanted = fields if event is None else {"event": event, **fields}
        return [
            found
            for found in self.events
            if all(name in found and found[name] == value for name, value in wanted.items())
        ]

    def one(self, event: str | None = None, **fields: object) -> dict[str, Any]:
        """Return the only such event. Raises ``LookupError`` if there is none or more than one."""
        found = self.find(event, **fields)
        if len(found) != 1:
            raise LookupError(f"{len(found)} events are {event or 'any'} {fields}, not 1, in:\n{self.text}")
        return found[0]


@contextmanager
def capture_logs(
    settings: LoggingSettings | None = None, *, service: str = "service", environment: str = "development"
) -> Iterator[CapturedLogs]:
    """Catch what the whole process logs inside the block, through the real pipeline.

    Masks and levels are those of ``settings``; the form is JSON whatever they say. What was configured before
    is taken away: afterwards logging is as it was before anything configured it.
    """
    from chassis.logging import LoggingSettings, configure_logging, unconfigure_logging
    from chassis.tracing import current_trace_ids

    chosen = (settings or LoggingSettings()).model_copy(update={"format": "json"})
    captured = CapturedLogs()
    unconfigure_logging()
    configure_logging(
        chosen, service=service, environment=environment, enrich=current_trace_ids, sink=captured
    )
    try:
        yield captured
    finally:
        unconfigure_logging()
