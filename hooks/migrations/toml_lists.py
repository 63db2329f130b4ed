"""Strings in a list of a TOML document: replaced, removed, or set apart, with everything else kept.

The edited text must parse to exactly the old data with the one change, otherwise it is ``Refused``. An edit
that was made already changes nothing.
"""

import json
import re
from dataclasses import dataclass

from refused import Refused
from toml_document import Document, Key, Statement, parse, value, verified

__all__ = ["add_item", "items", "remove_item", "replace_item", "set_apart"]

# A string on one line, in either quoting, or a comment, which hides what looks like a string in it.
STRING_OR_COMMENT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*")


def items(text: str, key: Key) -> list[str]:
    """Give the strings of a list, nothing if there is none. Raises ``Refused`` for what is no TOML."""
    found = value(parse(text), key)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def add_item(text: str, key: Key, comment: str, item: str) -> str:
    """Return the text with a string added to a list, on a line of its own below a comment line of the list.

    A list that holds the string or has no such comment is left alone.
    """
    data = parse(text)
    document = Document.read(text)
    statement = next((found for found in document.pairs() if found.path == key), None)
    if statement is None or item in items(text, key):
        return text
    source = document.source(statement)
    below = re.search(rf"^([ \t]*){re.escape(comment)}(\r?\n)", source, re.MULTILINE)
    if below is None:
        return text
    line = f"{below[1]}{json.dumps(item, ensure_ascii=False)},{below[2]}"
    edited = source[: below.end()] + line + source[below.end() :]
    added = parse(document.with_source(statement, edited))
    listed = value(added, key)
    if sorted(map(repr, listed)) != sorted(map(repr, [*value(data, key), item])):
        raise Refused(f"{'.'.join(key)} is written in a way that is not understood")
    value(data, key)[:] = listed
    return verified(document.with_source(statement, edited), data, key)


def replace_item(text: str, key: Key, old: str, new: str) -> str:
    """Return the text with one string of a list replaced. A list without it is left alone."""
    if (place := _find(text, key, old)) is None:
        return text
    written = json.dumps(new, ensure_ascii=False)
    if place.source[place.begin] == "'" and not set(new) & {"'", "\n"}:
        written = f"'{new}'"
    edited = place.source[: place.begin] + written + place.source[place.end :]
    data = parse(text)
    listed = value(data, key)
    listed[listed.index(old)] = new
    return verified(place.with_source(edited), data, key)


def remove_item(text: str, key: Key, item: str) -> str:
    """Return the text without one string of a list, and without its line if it has one of its own.

    A comment on that line goes with it. A list without the string is left alone.
    """
    if (place := _find(text, key, item)) is None:
        return text
    data = parse(text)
    value(data, key).remove(item)
    return verified(place.with_source(_without(place)), data, key)


def set_apart(text: str, key: Key, item: str, above: str, below: str) -> str:
    """Return the text with a comment line above and one below a string of a list.

    `git` then merges a change of the string with a change of its neighbours. A string that shares its line
    is ``Refused``, a list without it is left alone.
    """
    if (place := _find(text, key, item)) is None:
        return text
    if (span := place.line()) is None:
        raise Refused(f"{item!r} has no line of its own in {'.'.join(key)}")
    begin, end = span
    indentation = place.source[begin : place.begin]
    ending = "\r\n" if place.source[:end].endswith("\r\n") else "\n"
    first, last = f"{indentation}{above}{ending}", f"{indentation}{below}{ending}"
    before, line, after = place.source[:begin], place.source[begin:end], place.source[end:]
    first = "" if before.endswith(first) else first
    last = "" if after.startswith(last) else last
    return verified(place.with_source(f"{before}{first}{line}{last}{after}"), parse(text), key)


@dataclass(frozen=True)
class _Place:
    """Where a string of a list is written: the list's lines, and the string's begin and end in them."""

    document: Document
    statement: Statement
    source: str
    begin: int
    end: int

    def with_source(self, source: str) -> str:
        return self.document.with_source(self.statement, source)

    def line(self) -> tuple[int, int] | None:
        """Give the begin and end of the string's line, nothing if it shares the line with more."""
        begin = self.source.rfind("\n", 0, self.begin) + 1
        end = self.source.index("\n", self.end) + 1
        alone = not self.source[begin : self.begin].strip() and re.fullmatch(
            r"[ \t]*,?[ \t]*(#.*)?\r?\n", self.source[self.end : end]
        )
        return (begin, end) if alone else None


def _find(text: str, key: Key, item: str) -> _Place | None:
    listed = items(text, key)
    if item not in listed:
        return None
    if listed.count(item) > 1:
        raise Refused(f"{'.'.join(key)} holds {item!r} twice")
    document = Document.read(text)
    statement = next((found for found in document.pairs() if found.path == key), None)
    if statement is None:
        raise Refused(f"{'.'.join(key)} is not written as a list of its own")
    source = document.source(statement)
    spans = [found.span() for found in STRING_OR_COMMENT.finditer(source) if _is(found.group(), item)]
    if len(spans) != 1:
        raise Refused(f"{item!r} cannot be told from other text of {'.'.join(key)}")
    return _Place(document, statement, source, *spans[0])


def _is(token: str, item: str) -> bool:
    try:
        return not token.startswith("#") and bool(parse(f"x = {token}")["x"] == item)
    except Refused:
        return False


def _without(place: _Place) -> str:
    """Cut an item with its comma; the comma before it when it is the last one of several."""
    source, begin, end = place.source, place.begin, place.end
    if span := place.line():
        return source[: span[0]] + source[span[1] :]
    if after := re.match(r"[ \t]*,[ \t]*", source[end:]):
        return source[:begin] + source[end + after.end() :]
    if before := re.search(r",\s*\Z", source[:begin]):
        return source[: before.start()] + source[end:]
    return source[:begin] + source[end:]
