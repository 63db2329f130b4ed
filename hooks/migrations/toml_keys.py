"""Keys of a TOML document: moved, renamed or commented, with comments, order and quoting kept.

Lines are moved, never rewritten: the edited text must parse to exactly the old data with the one change,
otherwise it is ``Refused``. An edit that was made already changes nothing.
"""

from refused import Refused
from toml_document import Document, Key, parse, put, value, verified

__all__ = ["comment", "holds", "move"]


def holds(text: str, key: Key) -> bool:
    """Say whether the document has this key. Raises ``Refused`` for what is no TOML."""
    return value(parse(text), key) is not None


def move(text: str, old: Key, new: Key) -> str:
    """Return the text with a key or a whole table under another name or in another table.

    A key takes the comment lines directly above it along. Its new table is written at the end if there is
    none; a table that it leaves empty stays. Raises ``Refused``.
    """
    data = parse(text)
    moved = value(data, old)
    if moved is None:
        return text
    if value(data, new) is not None:
        raise Refused(f"both {'.'.join(old)} and {'.'.join(new)} are set")
    document = Document.read(text)
    pair = next((found for found in document.pairs() if found.path == old), None)
    if pair is not None and len(pair.keys) == 1:
        result = document.renamed(pair, new[-1]) if old[:-1] == new[:-1] else document.moved(pair, new)
    else:
        result = document.retitled(old, new)
    put(value(data, old[:-1]), old[-1:], None)
    put(data, new, moved)
    return verified(result, data, old)


def comment(text: str, key: Key, line: str) -> str:
    """Return the text with a comment line directly above a key. A document without the key is left alone."""
    data = parse(text)
    document = Document.read(text)
    pair = next((found for found in document.pairs() if found.path == key), None)
    if pair is None:
        return text
    source = document.source(pair)
    indentation = source[: len(source) - len(source.lstrip(" \t"))]
    ending = "\r" if document.lines[pair.first].endswith("\r") else ""
    above = f"{indentation}{line}{ending}"
    if pair.first and document.lines[pair.first - 1] == above:
        return text
    return verified(document.with_source(pair, f"{above}\n{source}"), data, key)
