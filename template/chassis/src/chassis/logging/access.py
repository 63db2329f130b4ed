"""The access line: one event for each request, recorded by the request layer."""

import logging
from collections.abc import Mapping
from sys import getsizeof
from time import time

from chassis import context
from chassis.logging.access_lines import Record, level_of, own_fields
from chassis.logging.loggers import ACTIVE, PROCESSORS, to_line
from chassis.structured import structlog

_LONGEST_PATH = 2_048
_MOST_BOUND_BYTES = 4_096
_IDS = 3  # request, trace, span
_FIRST_CLIENT_ERROR = 400
_FIRST_SERVER_ERROR = 500
_DEBUG, _INFO, _WARNING, _ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
_FLAT = frozenset({str, int, float, bool, type(None)})


class AccessLog:
    """Records the event ``request`` of ``chassis.access``: 5xx is an error, 4xx a warning, the rest info.

    ``LOG_LEVELS=chassis.access=ERROR`` keeps the failures alone.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger("chassis.access")
        self._logger = logging.getLogger("chassis.access")
        # What it answered before; it forgets that when any level changes. Asking it costs 800 instructions.
        self._known: dict[int, bool] = getattr(self._logger, "_cache", {})

    def record(  # noqa: PLR0917  # called once a request: names would cost half a microsecond
        self,
        context_fields: Mapping[str, object],
        method: str,
        route: str,
        path: str,
        status: int,
        seconds: float,
        client: str | None,
        user_agent: str,
        quiet: bool,
    ) -> None:
        """Record one request; with a buffer its line is rendered and written later.

        ``context_fields`` is the dict that the request's log lines carry: its ids and what the service bound.
        ``route`` is the template, ``path`` what was asked for, without its query, cut above
        2,048 characters. ``quiet`` is for probes: debug level, or a warning for 5xx.
        """
        if status < _FIRST_CLIENT_ERROR:
            level = _DEBUG if quiet else _INFO
        elif status < _FIRST_SERVER_ERROR or quiet:
            # A probe that answers 503 says what the service's own log lines have said already.
            level = _WARNING
        else:
            level = _ERROR
        known = self._known.get(level)
        if not (self._logger.isEnabledFor(level) if known is None else known):
            return
        if len(path) > _LONGEST_PATH:
            # Masking takes time, and a client chooses the length. The last part may be half a secret.
            path = f"{path[:_LONGEST_PATH].rpartition('/')[0]}/..."
        put = ACTIVE.put_access
        around: str | dict[str, object]
        if len(context_fields) == 1 and type(context_fields.get("request_id")) is str:
            around = context_fields["request_id"]  # type: ignore[assignment]  # seen in the line above
        else:
            around = dict(context_fields)  # a background task may bind more later
            if not _FLAT.issuperset(map(type, around.values())):
                put = None  # or change what it bound
            elif len(around) > _IDS or "span_id" not in around:
                # Thousands of records may wait for a blocked output, and only finished lines are bounded in bytes.
                put = put if sum(map(getsizeof, around.values())) <= _MOST_BOUND_BYTES else None
        record: Record = (time(), around, path, seconds, level, method, route, status, client, user_agent)
        if put is None or PROCESSORS[0] is not to_line:
            self._write(record, context_fields)
            return
        put(record)
        if level == _ERROR:
            ACTIVE.get().hurry()

    def _write(self, record: Record, context_fields: Mapping[str, object]) -> None:
        token = context.enter(dict(context_fields))
        try:
            getattr(self._log, level_of(record))("request", **own_fields(record))
        finally:
            context.leave(token)
