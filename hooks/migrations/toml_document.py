"""The lines of a TOML document and the statements that they make: what the edits of keys and lists build on.

What is a statement, and what a text means, is decided by ``tomllib`` alone. A key is named by the tuple of
its names from the root.
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

__all__ = ["Document", "Key", "Statement", "parse", "put", "value", "verified"]

Key = tuple[str, ...]

BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Statement:
    """One table header, or one key with its value, with the lines it takes."""

    first: int
    last: int
    table: Key
    keys: Key
    header: bool

    @property
    def path(self) -> Key:
        """Name the key or the table from the root."""
        return self.table if self.header else self.table + self.keys


@dataclass(frozen=True)
class Document:
    """The lines of a text and the statements that they make."""

    lines: list[str]
    statements: list[Statement]

    @classmethod
    def read(cls, text: str) -> "Document":
        """Take a text apart. Raises ``Refused`` where it is not understood."""
        lines = text.split("\n")
        return cls(lines, list(_statements(lines)))

    def pairs(self) -> list[Statement]:
        """Give the statements that set a key."""
        return [found for found in self.statements if not found.header]

    def source(self, statement: Statement) -> str:
        """Give the lines of a statement; each ends with a newline."""
        return "\n".join(self.lines[statement.first : statement.last + 1]) + "\n"

    def with_source(self, statement: Statement, source: str) -> str:
        """Return the text with other lines for a statement."""
        before, after = self.lines[: statement.first], self.lines[statement.last + 1 :]
        return "\n".join([*before, *source.removesuffix("\n").split("\n"), *after])

    def renamed(self, pair: Statement, name: str) -> str:
        """Return the text with another name for a key, in the same place."""
        source = self.source(pair)
        begin, end = _key_span(source)
        return self.with_source(pair, source[:begin] + written((name,)) + source[end:])

    def moved(self, pair: Statement, new: Key) -> str:
        """Take the lines of a key out and put them at the end of another table."""
        first = self._first_comment(pair.first)
        source = self.source(pair)
        begin, end = _key_span(source)
        renamed = (source[:begin] + written(new[-1:]) + source[end:]).removesuffix("\n").split("\n")
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
            lines[statement.first] = line[:begin] + written(names) + line[end:]
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
            return text_ends, [ending, f"[{written(table)}]{ending}"]
        first_header = next((found.first for found in self.statements if found.header), None)
        if first_header is None:
            return len(self.lines), []
        return self._first_comment(first_header), []


def _statements(lines: list[str]) -> Iterator[Statement]:
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
            yield Statement(number, last, table, (), header=True)
        else:
            source = "\n".join(lines[number : last + 1])
            begin, end = _key_span(source)
            yield Statement(number, last, table, _names(source[begin:end]), header=False)
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


def written(names: Key) -> str:
    """Write a dotted key, with quotes where they are needed."""
    return ".".join(name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in names)


def parse(text: str) -> dict[str, Any]:
    """Read a document. Raises ``Refused`` for what is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"it is no TOML: {error}") from error


def value(data: Any, key: Key) -> Any:
    """Give the value of a key, nothing if it is not set."""
    for name in key:
        if not isinstance(data, dict) or name not in data:
            return None
        data = data[name]
    return data


def put(data: Any, key: Key, new: Any) -> None:
    """Set a key, or remove it with no value."""
    for name in key[:-1]:
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise Refused(f"{name} is no table")
    if new is None:
        data.pop(key[-1], None)
    else:
        data[key[-1]] = deepcopy(new)


def verified(result: str, expected: dict[str, Any], key: Key) -> str:
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
        if above == 0 or value(expected, key[:above]) != {}:
            break
        put(expected, key[:above], None)
    raise refusal


def _canonical(data: Any) -> str:
    """Write data so that equal means equal, also for NaN; dates and times as Python writes them."""
    return json.dumps(data, sort_keys=True, default=repr)
