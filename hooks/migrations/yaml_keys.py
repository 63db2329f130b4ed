"""Keys of a YAML document: moved, renamed, or given another value, with comments, order and quoting kept.

Lines are moved, never rewritten. Where a key is, and what the result means, is decided by PyYAML's parser
alone: the edited text must parse to exactly the old nodes with the one change, otherwise it is ``Refused``.
An edit that was made already changes nothing. A key is named by the tuple of its names from the root.

PyYAML is there wherever Copier is, because Copier reads its own files with it.
"""

import json
import re
from typing import Any

import yaml
from refused import Refused

__all__ = ["Key", "holds", "move", "replace_value"]

Key = tuple[str, ...]

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# Line breaks for YAML, but not for git and most editors.
OTHER_LINE_BREAK = re.compile("[\x85\u2028\u2029]|\r(?!\n)")
STEP = 2

# What a node means: its tag and its value, for a mapping the sorted pairs.
Meaning = tuple[Any, ...]


def holds(text: str, key: Key) -> bool:
    """Say whether the document has this key. Raises ``Refused`` for what is no YAML mapping."""
    return _find(_root(text), key) is not None


def move(text: str, old: Key, new: Key) -> str:
    """Return the text with a key under another name or in another mapping, with all that it holds.

    A key takes the comment lines directly above it along, except those that begin the file. Mappings that
    are missing on the way are written; one that is left empty becomes ``{}``. Raises ``Refused``.
    """
    root = _root(text)
    entry = _find(root, old)
    if entry is None:
        return text
    if _find(root, new) is not None:
        raise Refused(f"both {'.'.join(old)} and {'.'.join(new)} are set")
    if new[: len(old)] == old:
        raise Refused(f"{'.'.join(new)} is inside {'.'.join(old)}")
    result = _renamed(text, entry[0], new[-1]) if old[:-1] == new[:-1] else _moved(text, root, old, new)
    expected = _meaning(root)
    value = _take(expected, old)
    _give(expected, new, value)
    return _verified(result, expected, old)


def replace_value(text: str, key: Key, old: str, new: str) -> str:
    """Return the text with one value replaced where a key has it, alone or in a list.

    A key with another value is left alone.
    """
    root = _root(text)
    entry = _find(root, key)
    if entry is None:
        return text
    value = entry[1]
    choices = value.value if isinstance(value, yaml.SequenceNode) else [value]
    places = [node for node in choices if isinstance(node, yaml.ScalarNode) and node.value == old]
    result = text
    for node in reversed(places):
        begin, end = node.start_mark.index, node.end_mark.index
        if text[begin:end].startswith(("|", ">")):
            raise Refused(f"{'.'.join(key)} is written as a block of text")
        result = result[:begin] + _written(new) + result[end:]
    expected = _meaning(root)
    mapping = _mapping(expected, key[:-1])
    mapping[key[-1]] = _replaced(mapping[key[-1]], old, new)
    return _verified(result, expected, key)


def _renamed(text: str, key: yaml.ScalarNode, name: str) -> str:
    begin, end = key.start_mark.index, key.end_mark.index
    if not re.match(r"[ \t]*:", text[end:]):
        raise Refused(f"{key.value} is not followed by its colon")
    return text[:begin] + _written(name) + text[end:]


def _moved(text: str, root: yaml.MappingNode, old: Key, new: Key) -> str:
    """Take the lines of a key out and put them at the end of another mapping."""
    lines = text.split("\n")
    if OTHER_LINE_BREAK.search(text):
        raise Refused("it holds line breaks that are not those of a text file")
    entry = _find(root, old)
    parent = _find(root, old[:-1])
    if entry is None or parent is None:
        raise Refused(f"{'.'.join(old)} is not there")
    key, value = entry
    column = key.start_mark.column
    if lines[key.start_mark.line][:column].strip() or _in_flow(parent[1]):
        raise Refused(f"{'.'.join(old)} shares its line with something else")
    first, last = _first_comment(lines, key), _last_line(lines, value, column, key.end_mark.line)
    source = lines[key.start_mark.line]
    lines[key.start_mark.line] = (
        source[:column] + _written(new[-1]) + source[column + key.end_mark.index - key.start_mark.index :]
    )
    place, indent, opening = _end_of(lines, root, new[:-1])
    block = [_shifted(line, indent - column) for line in lines[first : last + 1]]
    taken = range(first, last + 1)
    ending = "\r" if source.endswith("\r") else ""
    opened = [line + ending for line in opening]
    if len(parent[1].value) == 1 and old[:-1]:
        lines[parent[0].start_mark.line] = _emptied(lines[parent[0].start_mark.line], parent[0])
    before = [line for number, line in enumerate(lines[:place]) if number not in taken]
    after = [line for number, line in enumerate(lines[place:], place) if number not in taken]
    return "\n".join([*before, *opened, *block, *after])


def _end_of(lines: list[str], root: yaml.MappingNode, key: Key) -> tuple[int, int, list[str]]:
    """Give the line after a mapping, the column of its keys, and the lines that open it if it is missing."""
    known = len(key)
    while (entry := _find(root, key[:known])) is None:
        known -= 1
    mapping = entry[1]
    if not isinstance(mapping, yaml.MappingNode) or _in_flow(mapping) or not mapping.value:
        raise Refused(f"{'.'.join(key[:known])} is not written as a mapping on lines of its own")
    column = mapping.value[0][0].start_mark.column
    last_key, last_value = mapping.value[-1]
    end = _last_line(lines, last_value, column, last_key.end_mark.line) + 1
    missing = key[known:]
    opening = [" " * (column + STEP * depth) + f"{_written(name)}:" for depth, name in enumerate(missing)]
    return end, column + STEP * len(missing), opening


def _first_comment(lines: list[str], key: yaml.ScalarNode) -> int:
    """Give the first comment line directly above a key, at its column; those that begin the file stay."""
    line = first = key.start_mark.line
    comment = " " * key.start_mark.column + "#"
    while first > 0 and lines[first - 1].startswith(comment):
        first -= 1
    return line if first == 0 else first


def _last_line(lines: list[str], value: yaml.Node, column: int, key_line: int) -> int:
    """Give the last line of a value: where its last scalar ends, and comments after it that belong inside."""
    last = max(key_line, _end_line(value))
    following = last + 1
    while following < len(lines) and (
        not lines[following].strip() or re.match(rf" {{{column + 1},}}#", lines[following])
    ):
        if lines[following].strip():
            last = following
        following += 1
    while last > key_line and not lines[last].strip():
        last -= 1
    return last


def _end_line(node: yaml.Node) -> int:
    if isinstance(node, yaml.ScalarNode) or _in_flow(node) or not node.value:
        return int(node.end_mark.line) - (1 if node.end_mark.column == 0 and node.value else 0)
    parts = (
        node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
    )
    return max(_end_line(part) for part in parts)


def _in_flow(node: yaml.Node) -> bool:
    """Say whether a node is written in braces or brackets."""
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _shifted(line: str, columns: int) -> str:
    if not line.strip():
        return line
    if columns >= 0:
        return " " * columns + line
    if line[:-columns].strip():
        raise Refused(f"{line.strip()!r} cannot be indented less")
    return line[-columns:]


def _emptied(line: str, key: yaml.ScalarNode) -> str:
    """Write ``{}`` behind the colon of a key that is left with nothing."""
    colon = line.index(":", key.end_mark.column)
    return f"{line[: colon + 1]} {{}}{line[colon + 1 :]}"


def _written(value: str) -> str:
    """Write a string so that YAML reads a string."""
    read = yaml.compose(value, Loader=yaml.SafeLoader) if PLAIN.fullmatch(value) else None
    plain = read is not None and read.tag.endswith(":str")
    return value if plain else json.dumps(value, ensure_ascii=False)


def _root(text: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise Refused(f"it is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(root, yaml.MappingNode):
        raise Refused("it holds no mapping")
    return root


def _find(root: yaml.MappingNode, key: Key) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    """Give the nodes of a key and its value; those of the root have no key of their own."""
    found: tuple[yaml.ScalarNode, yaml.Node] = (yaml.ScalarNode("", ""), root)
    for name in key:
        mapping = found[1]
        if not isinstance(mapping, yaml.MappingNode):
            return None
        entries = [pair for pair in mapping.value if pair[0].value == name]
        if len(entries) > 1:
            raise Refused(f"{'.'.join(key)} is set twice")
        if not entries:
            return None
        found = entries[0]
    return found


class _Pairs(dict[Any, Any]):
    """The meaning of a mapping while it is changed."""


def _meaning(node: yaml.Node) -> Any:
    """Read what a node says, without how it is written. An anchor that holds itself is ``Refused``."""
    try:
        return _read(node)
    except RecursionError as error:
        raise Refused("an anchor holds itself") from error


def _read(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return (node.tag, node.value)
    if isinstance(node, yaml.SequenceNode):
        return [node.tag, *map(_read, node.value)]
    pairs = _Pairs()
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else repr(_read(key))
        if name in pairs:
            raise Refused(f"{name} is set twice")
        pairs[name] = _read(value)
    return pairs


def _mapping(meaning: Any, key: Key) -> _Pairs:
    for name in key:
        if not isinstance(meaning, _Pairs):
            raise Refused(f"{'.'.join(key)} is no mapping")
        meaning = meaning.setdefault(name, _Pairs())
    if not isinstance(meaning, _Pairs):
        raise Refused(f"{'.'.join(key)} is no mapping")
    return meaning


def _take(meaning: Any, key: Key) -> Any:
    return _mapping(meaning, key[:-1]).pop(key[-1])


def _give(meaning: Any, key: Key, value: Any) -> None:
    _mapping(meaning, key[:-1])[key[-1]] = value


def _replaced(meaning: Any, old: str, new: str) -> Any:
    if isinstance(meaning, tuple):
        return ("tag:yaml.org,2002:str", new) if meaning[1] == old else meaning
    if isinstance(meaning, list):
        return [
            meaning[0],
            *(_replaced(item, old, new) if isinstance(item, tuple) else item for item in meaning[1:]),
        ]
    return meaning


def _verified(result: str, expected: Any, key: Key) -> str:
    """Give the result if it means what was wanted and nothing else."""
    refusal = Refused(f"{'.'.join(key)} is written in a way that is not understood")
    try:
        found = _meaning(_root(result))
    except Refused as error:
        raise refusal from error
    if found != expected:
        raise refusal
    return result
