"""Access lines from what was recorded: in the quick form, the same bytes as the pipeline's in a fifth of its time.

What is the same for many requests is rendered and masked once. The rest is proved clean at a look, or masked.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from chassis.logging.events import milliseconds
from chassis.logging.pipeline import FIXED, Pipeline
from chassis.logging.render import dump, render_json

Record = tuple[float, "str | dict[str, object]", str, float, int, str, str, int, str | None, str]
"""Seconds since the epoch, context or the request id alone, path, seconds, level, method, route, status,
client, user agent. Flat: tuples inside it would be three times the work for the garbage collector."""

Shape = tuple[int, str, str, int]
Peer = tuple[str | None, str]

LOGGER: Final = "chassis.access"
EVENT: Final = "request"

_OWN: Final = ("method", "route", "path", "status", "duration_ms", "client", "user_agent")
_IDS: Final = ("request_id", "trace_id", "span_id")
_TAKEN: Final = frozenset({*FIXED, *_OWN})
_MOST_KEPT: Final = 1_024
_MOST_MICROSECONDS: Final = 10**15
_NAMES: Final = {10: "debug", 20: "info", 30: "warning", 40: "error"}
_ID_LENGTH = 32
_ID_BYTES = 16
_SPAN_LENGTH = 16
_from_hex = bytes.fromhex


def own_fields(record: Record) -> dict[str, object]:
    """Return the fields of the event, in the order of the line."""
    _, _, path, seconds, _, method, route, status, client, user_agent = record
    own: dict[str, object] = {"method": method, "route": route, "path": path, "status": status}
    own["duration_ms"] = milliseconds(seconds)
    if client is not None:
        own["client"] = client
    own["user_agent"] = user_agent
    return own


def level_of(record: Record) -> str:
    """Return the name of the level."""
    return _NAMES[record[4]]


class AccessLines:
    """Renders records for one pipeline. For one thread at a time; never raises."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._masker = pipeline.masker
        self._is_plain = not any(
            self._masker.is_sensitive_key(name) for name in (*_OWN, *_IDS, "event", "logger")
        )
        self._second = -1
        self._date = ""
        self._shapes: dict[Shape, tuple[str, str, str]] = {}
        self._peers: dict[Peer, str] = {}
        # Three digits, and the same as a fraction without its zeros: formatting a number takes six times as long.
        self._digits = [f"{number:03d}" for number in range(1000)]
        self._fractions = [f".{digits}".rstrip("0") if int(digits) else ".0" for digits in self._digits]

    def render(self, entries: Sequence[bytes | Record]) -> list[bytes]:
        """Return the lines of these entries: finished ones as they are, those of records rendered.

        Each step of the interpreter costs 60 instructions: the loop has no step that can be done for all records
        together, and calls no function of its own that it can do without.
        """
        lines: list[bytes] = []
        shapes, peers, date = self._shapes.get, self._peers.get, self._date
        digits, fractions = self._digits, self._fractions
        records = [entry for entry in entries if type(entry) is tuple]
        ids_are_plain = _are_ids([record[1] for record in records])
        paths_are_plain = self._are_plain([record[2] for record in records])
        for entry in entries:
            if type(entry) is bytes:
                lines.append(entry)
                continue
            record: Record = entry  # type: ignore[assignment]  # the other of the two
            try:
                at, around, path, seconds, level, method, route, status, client, agent = record
                second = int(at)
                if second != self._second:
                    date = self._date = self._new_second(second)
                shape, peer = (level, method, route, status), (client, agent)
                head, middle, end = shapes(shape) or self._shape(shape)
                fields = f',"request_id":"{around}"' if ids_are_plain else self._fields(around)
                if not paths_are_plain:
                    path = dump(self._masker.text(path))[1:-1]
                microseconds = round(seconds * 1_000_000)
                fraction = int((at - second) * 1_000_000)
                if 0 <= microseconds < _MOST_MICROSECONDS:
                    lines.append(
                        f'{{"timestamp":"{date}.{digits[fraction // 1000]}{digits[fraction % 1000]}'
                        f"{head}{fields}{middle}{path}{end}"
                        f"{microseconds // 1000}{fractions[microseconds % 1000]}"
                        f"{peers(peer) or self._peer(peer)}".encode()
                    )
                else:
                    lines.append(self.slow(record))
            except Exception:  # noqa: BLE001  # what only the pipeline can place, or it says what is wrong
                lines.append(self.slow(record))
        return lines

    def slow(self, record: Record) -> bytes:
        """Return the line as the pipeline renders it."""
        at, around = record[:2]
        second = int(at)
        return self._pipeline.line(
            LOGGER,
            level_of(record),
            EVENT,
            own_fields(record),
            at=datetime.fromtimestamp(second, UTC).replace(microsecond=int((at - second) * 1_000_000)),
            around={"request_id": around} if isinstance(around, str) else around,
        )

    def _shape(self, shape: Shape) -> tuple[str, str, str]:
        if not self._is_plain:
            raise LookupError("a fixed name is a sensitive one in this service")
        level, method, route, status = shape
        text, pipeline = self._masker.text, self._pipeline
        places = f'"service":{dump(pipeline.service)},"environment":{dump(pipeline.environment)}'
        parts = (
            f'Z","level":"{_NAMES[level]}","event":"{EVENT}",{places},"logger":"{LOGGER}"',
            f',"method":{dump(text(method))},"route":{dump(text(route))},"path":"',
            f'","status":{dump(self._masker.value("status", status))},"duration_ms":',
        )
        _keep(self._shapes, shape, parts)
        return parts

    def _peer(self, peer: Peer) -> str:
        client, user_agent = peer
        shown = "" if client is None else f',"client":{dump(self._masker.text(client))}'
        shown += f',"user_agent":{dump(self._masker.text(user_agent))}}}\n'
        _keep(self._peers, peer, shown)
        return shown

    def _are_plain(self, texts: list[str]) -> bool:
        """Tell whether these texts are clean and need no escape: one look for all of them."""
        together = "\n".join(texts)
        return (
            together.isascii()
            and "".join(texts).isprintable()
            and '"' not in together
            and "\\" not in together
            and not self._masker.is_suspect(together)
        )

    def _new_second(self, second: int) -> str:
        self._second = second
        return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()

    def _fields(self, around: str | dict[str, object]) -> str:
        """Return the ids and what the service bound."""
        if isinstance(around, str):
            return f',"request_id":{dump(self._masker.text(around))}'
        parts = []
        rest = dict(around)
        for name in _IDS:
            value = rest.pop(name, None)
            if type(value) is str and _is_id(value):
                parts.append(f',"{name}":"{value}"')
            elif value is not None:
                parts.append(f',"{name}":{dump(self._masker.value(name, value))}')
        if rest:
            masked = self._masker.event(rest)
            if not _TAKEN.isdisjoint(masked):
                raise LookupError("the service bound a name that the line has already")
            parts.append("," + render_json(masked)[1:-2].decode())
        return "".join(parts)


def _are_ids(found: list[Any]) -> bool:
    """Tell whether these are request ids of 32 hexadecimal digits, which are clean, whoever sent them."""
    try:
        lengths = {*map(len, found)}
        return lengths == {_ID_LENGTH} and len(_from_hex("".join(found))) == _ID_BYTES * len(found)
    except (TypeError, ValueError):
        return False


def _is_id(text: str) -> bool:
    """Tell whether this is an id of a request, trace or span that is clean (``chassis.masking.look``)."""
    try:
        if len(text) == _ID_LENGTH:
            return len(_from_hex(text)) == _ID_BYTES
        return (
            len(text) == _SPAN_LENGTH
            and len(_from_hex(text)) == _SPAN_LENGTH // 2
            and text[:2] not in {"be", "bE", "Be", "BE"}
            and not text[:13].isdecimal()
        )
    except ValueError:
        return False


def _keep(cache: dict[Any, Any], key: object, value: object) -> None:
    if len(cache) >= _MOST_KEPT:  # methods, clients and agents are what a client says they are
        cache.clear()
    cache[key] = value
