"""The access line: one event for each request, written by the request layer."""

import structlog

from chassis.logging.events import milliseconds

_LONGEST_PATH = 2_048
_FIRST_CLIENT_ERROR = 400
_FIRST_SERVER_ERROR = 500


class AccessLog:
    """Writes the event ``request`` of ``chassis.access``: 5xx is an error, 4xx a warning, the rest info.

    ``LOG_LEVELS=chassis.access=ERROR`` keeps the failures alone.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger("chassis.access")

    def record(
        self,
        *,
        method: str,
        route: str,
        path: str,
        status: int,
        duration_seconds: float,
        client: str | None = None,
        quiet: bool = False,
        **fields: object,
    ) -> None:
        """Write the line of one request.

        ``route`` is the template, ``path`` what was asked for, without its query, cut above
        2,048 characters. ``quiet`` is for probes:
        debug level, or a warning for 5xx. Further fields are added; the context is read at this moment.
        """
        if status >= _FIRST_SERVER_ERROR:
            # A probe that answers 503 says what the service's own log lines have said already.
            level = "warning" if quiet else "error"
        elif status >= _FIRST_CLIENT_ERROR:
            level = "warning"
        else:
            level = "debug" if quiet else "info"
        if len(path) > _LONGEST_PATH:
            # Masking takes time, and a client chooses the length. The last part may be half a secret.
            path = f"{path[:_LONGEST_PATH].rpartition('/')[0]}/..."
        own = {"method": method, "route": route, "path": path, "status": status}
        own["duration_ms"] = milliseconds(duration_seconds)
        if client is not None:
            own["client"] = client
        getattr(self._log, level)("request", **{**fields, **own})
