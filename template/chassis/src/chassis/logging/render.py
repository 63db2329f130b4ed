"""The three forms of a line: JSON for machines, console and rich for people.

No value can start a line of its own in any of them: control characters, line separators and characters that
turn the direction of text are shown as escapes.
"""

import re
from collections.abc import Callable, Mapping
from io import StringIO

import orjson

from chassis.pattern import pattern

Renderer = Callable[[Mapping[str, object]], bytes]

# C0, DEL, C1, soft hyphen, invisible and direction marks (Unicode TR 36), line separators, tags, surrogates.
_UNSAFE = pattern(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_WORD = pattern(r"[^\s\"'=\\{}\[\],]+")
_SENTENCE = pattern(r"[^\"=\\]+")
_HIDDEN_ON_CONSOLE = frozenset(
    {"timestamp", "level", "event", "service", "environment", "exception", "stack", "caller"}
)
_BLOCKS = ("stack", "exception")
_STYLES = {"debug": "dim", "info": "green", "warning": "yellow", "error": "red", "critical": "bold red"}
_OPTIONS = orjson.OPT_NON_STR_KEYS


def render_json(event: Mapping[str, object]) -> bytes:
    """Return one line of JSON. Whatever JSON cannot carry becomes text: infinite numbers, broken Unicode."""
    try:
        line = orjson.dumps(event, default=_text, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        line = orjson.dumps(_plain(event, 0))
    if not line.isascii() or b"\x7f" in line:
        line = _UNSAFE.sub(_json_escape, line.decode()).encode()
    return line + b"\n"


def render_console(event: Mapping[str, object]) -> bytes:
    """Return one line of ``time level event key=value ...`` and, indented below it, the traceback."""
    head = f"{show(event.get('timestamp'))} {show(event.get('level')):<8} {_sentence(event.get('event'))}"
    fields = "".join(f" {_name(key)}={show(value)}" for key, value in _shown(event))
    blocks = "".join(f"\n    {line}" for line in _block_lines(event))
    return f"{head}{fields}{blocks}\n".encode()


def rich_renderer(*, color: bool, color_system: str | None = None) -> Renderer:
    """Return a renderer with colours (none when ``color`` is False). Raises ImportError without ``rich``."""
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.text import Text

    console = Console(
        file=StringIO(),
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color and color_system is None else color_system,  # type: ignore[arg-type]  # a name from rich itself
        legacy_windows=False,
        width=10_000,
    )
    syntax = Syntax("", "pytb", theme="ansi_dark", background_color="default")

    def render(event: Mapping[str, object]) -> bytes:
        level = show(event.get("level"))
        text = Text(end="")
        text.append(show(event.get("timestamp")), "dim")
        text.append(f" {level:<8} ", _STYLES.get(level, ""))
        text.append(_sentence(event.get("event")), "bold")
        for key, value in _shown(event):
            text.append(f" {_name(key)}", "cyan").append("=", "dim").append(show(value))
        for line in _block_lines(event):
            text.append("\n    ")
            text.append_text(_stripped(syntax.highlight(line)) if color else Text(line))
        with console.capture() as captured:
            console.print(text, soft_wrap=True, end="\n")
        return captured.get().encode()

    def _stripped(line: Text) -> Text:
        line.rstrip()
        return line

    return render


def show(value: object) -> str:
    """Return a value as one safe word: quoted like JSON when it holds spaces or signs."""
    text = value if isinstance(value, str) else dump(value)
    if isinstance(value, str) and not (_WORD.fullmatch(text) and not _UNSAFE.search(text)):
        text = dump(text)
    return _UNSAFE.sub(_json_escape, text)


def dump(value: object) -> str:
    """Return a value as it stands in a line of JSON."""
    if type(value) is str and value.isascii() and value.isprintable():
        return orjson.dumps(value).decode()
    return render_json({"": value}).decode()[len('{"":') : -len("}\n")]


def _name(key: str) -> str:
    return show(str(key))


def _sentence(event: object) -> str:
    text = event if isinstance(event, str) else dump(event)
    return (
        text
        if _SENTENCE.fullmatch(text) and not _UNSAFE.search(text)
        else _UNSAFE.sub(_json_escape, dump(text))
    )


def _shown(event: Mapping[str, object]) -> list[tuple[str, object]]:
    fields = [(key, value) for key, value in event.items() if key not in _HIDDEN_ON_CONSOLE]
    caller = event.get("caller")
    if isinstance(caller, Mapping):
        fields.append(("caller", ":".join(str(part) for part in caller.values())))
    return fields


def _block_lines(event: Mapping[str, object]) -> list[str]:
    return [
        _UNSAFE.sub(_json_escape, line)
        for name in _BLOCKS
        if isinstance(block := event.get(name), str)
        for line in block.rstrip("\n").split("\n")
    ]


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:  # noqa: PLR2004  # JSON writes such characters as two surrogates (RFC 8259, 7)
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def _text(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  # a repr may raise anything
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def _plain(value: object, depth: int) -> object:
    """Return what orjson surely takes."""
    if depth > 64:  # noqa: PLR2004  # far below orjson's own limit of 254
        return "<nested too deep>"
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or type(value) in {bool, float} or (type(value) is int and -(2**63) <= value < 2**64):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key), depth): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return _plain(_text(value), depth)
