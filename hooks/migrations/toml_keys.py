"""Keys of a TOML document: moved, renamed, or changed in a list, with comments, order and quoting kept.

Lines are moved, never rewritten. What is a statement, and what the result means, is decided by ``tomllib``
alone: the edited text must parse to exactly the old data with the one change, otherwise it is ``Refused``.
An edit that was made already changes nothing. A key is named by the tuple of its names from the root.
"""

import json
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from refused import Refused

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit(
        "Copier runs on a Python before 3.11 here, and this update needs 3.11: install Copier on that one."
    )

__all__ = ["Key", "holds", "items", "move", "remove_item", "replace_item"]

Key = tuple[str, ...]

BARE = re.compile(r"[A-Za-z0-9_-]+")
# A string on one line, in either quoting, or a comment, which hides what looks like a string in it.
STRING_OR_COMMENT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*")


def holds(text: str, key: Key) -> bool:
    """Say whether the document has this key. Raises ``Refused`` for what is no TOML."""
    return _value(_parse(text), key) is not None


def move(text: str, old: Key, new: Key) -> str:
    """Return the text with a key or a whole table under another name or in another table.

    A key takes the comment lines directly above it along. Its new table is written at the end if there is
    none; a table that it leaves empty stays. Raises ``Refused``.
    """
    data = _parse(text)
    value = _value(data, old)
    if value is None:
        return text
    if _value(data, new) is not None:
        raise Refused(f"both {'.'.join(old)} and {'.'.join(new)} are set")
    document = _Document.read(text)
    pair = next((found for found in document.pairs() if found.path == old), None)
    if pair is not None and len(pair.keys) == 1:
        result = document.renamed(pair, new[-1]) if old[:-1] == new[:-1] else document.moved(pair, new)
    else:
        result = document.retitled(old, new)
    _put(_value(data, old[:-1]), old[-1], None)
    _put(data, new, value)
    return _verified(result, data, old)


def items(text: str, key: Key) -> list[str]:
    """Give the strings of a list, nothing if there is none. Raises ``Refused`` for what is no TOML."""
    value = _value(_parse(text), key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def replace_item(text: str, key: Key, old: str, new: str) -> str:
    """Return the text with one string of a list replaced. A list without it is left alone."""
    return _change_item(text, key, old, new)


def remove_item(text: str, key: Key, item: str) -> str:
    """Return the text without one string of a list, and without its line if it has one of its own.

    A comment on that line goes with it. A list without the string is left alone.
    """
    return _change_item(text, key, item, None)


def _change_item(text: str, key: Key, old: str, new: str | None) -> str:
    data = _parse(text)
    listed = _value(data, key)
    if not isinstance(listed, list) or old not in listed:
        return text
    if listed.count(old) > 1:
        raise Refused(f"{'.'.join(key)} holds {old!r} twice")
    document = _Document.read(text)
    statement = next((found for found in document.pairs() if found.path == key), None)
    if statement is None:
        raise Refused(f"{'.'.join(key)} is not written as a list of its own")
    source = document.source(statement)
    places = [match.span() for match in STRING_OR_COMMENT.finditer(source) if _is_string(match.group(), old)]
    if len(places) != 1:
        raise Refused(f"{old!r} cannot be told from other text of {'.'.join(key)}")
    begin, end = places[0]
    if new is None:
        edited = _without(source, begin, end)
        listed.remove(old)
    else:
        quote = source[begin]
        written = json.dumps(new, ensure_ascii=False)
        plain = quote == "'" and not set(new) & {"'", "\n"}
        edited = source[:begin] + (f"'{new}'" if plain else written) + source[end:]
        listed[listed.index(old)] = new
    return _verified(document.with_source(statement, edited), data, key)


def _is_string(token: str, value: str) -> bool:
    if token.startswith("#"):
        return False
    try:
        return bool(tomllib.loads(f"x = {token}")["x"] == value)
    except tomllib.TOMLDecodeError:
        return False


def _without(source: str, begin: int, end: int) -> str:
    """Cut an item with its comma; the comma before it when it is the last one of several."""
    line_begin = source.rfind("\n", 0, begin) + 1
    line_end = source.find("\n", end)
    alone = re.fullmatch(r"[ \t]*", source[line_begin:begin]) and re.fullmatch(
        r"[ \t]*,?[ \t]*(#.*)?\r?", source[end:line_end] if line_end >= 0 else "x"
    )
    if alone:
        return source[:line_begin] + source[line_end + 1 :]
    if after := re.match(r"[ \t]*,[ \t]*", source[end:]):
        return source[:begin] + source[end + after.end() :]
    if before := re.search(r",\s*\Z", source[:begin]):
        return source[: before.start()] + source[end:]
    return source[:begin] + source[end:]


@dataclass(frozen=True)
class _Statement:
    """One table header, or one key with its value, with the lines it takes."""

    first: int
    last: int
    table: Key
    keys: Key
    header: bool

    @property
    def path(self) -> Key:
        return self.table if self.header else self.table + self.keys


@dataclass(frozen=True)
class _Document:
    """The lines of a text and the statements that they make."""

    lines: list[str]
    statements: list[_Statement]

    @classmethod
    def read(cls, text: str) -> "_Document":
        lines = text.split("\n")
        return cls(lines, list(_statements(lines)))

    def pairs(self) -> list[_Statement]:
        return [found for found in self.statements if not found.header]

    def source(self, statement: _Statement) -> str:
        return "\n".join(self.lines[statement.first : statement.last + 1]) + "\n"

    def with_source(self, statement: _Statement, source: str) -> str:
        before, after = self.lines[: statement.first], self.lines[statement.last + 1 :]
        return "\n".join([*before, *source.removesuffix("\n").split("\n"), *after])

    def renamed(self, pair: _Statement, name: str) -> str:
        source = self.source(pair)
        begin, end = _key_span(source)
        return self.with_source(pair, source[:begin] + _written((name,)) + source[end:])

    def moved(self, pair: _Statement, new: Key) -> str:
        """Take the lines of a key out and put them at the end of another table."""
        first = self._first_comment(pair.first)
        source = self.source(pair)
        begin, end = _key_span(source)
        renamed = (source[:begin] + _written(new[-1:]) + source[end:]).removesuffix("\n").split("\n")
        block = [*self.lines[first : pair.first], *renamed]
        place, before = self._end_of(new[:-1])
        taken = range(first, pair.last + 1)
        lines = [line for number, line in enumerate(self.lines[:place]) if number not in taken]
        rest = [line for number, line in enumerate(self.lines[place:], place) if number not in taken]
        return "\n".join([*lines, *before, *block, *rest])

    def retitled(self, old: Key, new: Key) -> str:
        """Give a table another name wherever it is written: in headers and in dotted keys."""
        lines = list(self.lines)
        for statement in self.statements:
            if statement.path[: len(old)] != old:
                continue
            inside = 0 if statement.header else len(statement.table)
            if inside >= len(old):
                continue
            if old[:inside] != new[:inside]:
                raise Refused(f"{'.'.join(old)} is written as a dotted key of [{'.'.join(old[:inside])}]")
            line = lines[statement.first]
            begin, end = _title_span(line) if statement.header else _key_span(line)
            names = new[inside:] + statement.path[len(old) :]
            lines[statement.first] = line[:begin] + _written(names) + line[end:]
        return "\n".join(lines)

    def _first_comment(self, line: int) -> int:
        """Give the first of the comment lines directly above; those that begin the file stay with it."""
        first = line
        while first > 0 and self.lines[first - 1].lstrip().startswith("#"):
            first -= 1
        return line if first == 0 else first

    def _end_of(self, table: Key) -> tuple[int, list[str]]:
        """Give the line where a table ends, and the lines that open the table if there is none."""
        inside = [found for found in self.statements if found.table == table]
        if inside:
            return inside[-1].last + 1, []
        ending = "\r" if self.lines[0].endswith("\r") else ""
        if table:
            text_ends = next((n + 1 for n in range(len(self.lines) - 1, -1, -1) if self.lines[n].strip()), 0)
            return text_ends, [ending, f"[{_written(table)}]{ending}"]
        first_header = next((found.first for found in self.statements if found.header), None)
        if first_header is None:
            return len(self.lines), []
        return self._first_comment(first_header), []


def _statements(lines: list[str]) -> Iterator[_Statement]:
    """Find each statement: the fewest lines from its first one that are TOML by themselves."""
    table: Key = ()
    number = 0
    while number < len(lines):
        bare = lines[number].strip()
        if not bare or bare.startswith("#"):
            number += 1
            continue
        last = _last_line(lines, number)
        if bare.startswith("["):
            begin, end = _title_span(lines[number])
            table = _names(lines[number][begin:end])
            yield _Statement(number, last, table, (), header=True)
        else:
            source = "\n".join(lines[number : last + 1])
            begin, end = _key_span(source)
            yield _Statement(number, last, table, _names(source[begin:end]), header=False)
        number = last + 1


def _last_line(lines: list[str], first: int) -> int:
    for last in range(first, len(lines)):
        try:
            tomllib.loads("\n".join(lines[first : last + 1]) + "\n")
        except tomllib.TOMLDecodeError:
            continue
        return last
    raise Refused(f"line {first + 1} is not understood")


def _key_span(source: str) -> tuple[int, int]:
    """Say where the key of a statement is written, between the indentation and the equals sign."""
    begin = len(source) - len(source.lstrip())
    for equals in re.finditer("=", source):
        written = source[begin : equals.start()]
        try:
            tomllib.loads(f"{written}= 0")
        except tomllib.TOMLDecodeError:
            continue
        return begin, begin + len(written.rstrip())
    raise Refused(f"{source.strip()!r} is not understood")


def _title_span(line: str) -> tuple[int, int]:
    """Say where the name of a table is written in its header."""
    brackets = 2 if line.lstrip().startswith("[[") else 1
    begin = line.index("[") + brackets
    for closing in re.finditer(r"\]", line):
        end = closing.start()
        try:
            tomllib.loads(line[: end + brackets])
        except tomllib.TOMLDecodeError:
            continue
        return begin, end
    raise Refused(f"{line.strip()!r} is not understood")


def _names(written: str) -> Key:
    """Read a dotted key, as in ``tool."a.b".c``."""
    names = []
    data: Any = tomllib.loads(f"{written} = 0")
    while isinstance(data, dict):
        ((name, data),) = data.items()
        names.append(name)
    return tuple(names)


def _written(names: Key) -> str:
    return ".".join(name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in names)


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"it is no TOML: {error}") from error


def _value(data: Any, key: Key) -> Any:
    for name in key:
        if not isinstance(data, dict) or name not in data:
            return None
        data = data[name]
    return data


def _put(data: Any, key: Key | str, value: Any) -> None:
    """Set a key, or remove it with no value."""
    *above, name = (key,) if isinstance(key, str) else key
    for parent in above:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise Refused(f"{parent} is no table")
    if value is None:
        data.pop(name, None)
    else:
        data[name] = deepcopy(value)


def _verified(result: str, expected: dict[str, Any], key: Key) -> str:
    """Give the result if it means what was wanted and nothing else.

    A table that the key leaves empty may be there or not: ``[a.b]`` makes ``a`` without naming it.
    """
    refusal = Refused(f"{'.'.join(key)} is written in a way that is not understood")
    try:
        found = _canonical(tomllib.loads(result))
    except tomllib.TOMLDecodeError as error:
        raise refusal from error
    for above in range(len(key) - 1, -1, -1):
        if found == _canonical(expected):
            return result
        if above == 0 or _value(expected, key[:above]) != {}:
            break
        _put(_value(expected, key[: above - 1]), key[above - 1], None)
    raise refusal


def _canonical(data: Any) -> str:
    """Write data so that equal means equal, also for NaN; dates and times as Python writes them."""
    return json.dumps(data, sort_keys=True, default=repr)
