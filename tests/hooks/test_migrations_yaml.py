"""A key of a YAML document is moved or renamed; comments, order and quoting of everything else stay."""

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "hooks" / "migrations"))
yaml_keys = importlib.import_module("yaml_keys")
Refused = importlib.import_module("refused").Refused

DOCUMENT = """\
# Yours: settings of this service.
service:
  # shown in logs
  version: 0.1.0   # bumped by hand
  "team": 'Orders'

rate_limit:
    requests: 100
    routes:
    - GET /items   # many
    # the last one
    - POST /items

notes: |
  # no comment
  text

# about the end
end: {a: 1}
"""


def test_a_renamed_key_changes_nothing_but_its_name() -> None:
    result = yaml_keys.move(DOCUMENT, ("service", "team"), ("service", "owner"))
    assert result == DOCUMENT.replace('"team":', "owner:")
    assert yaml_keys.move(DOCUMENT, ("end", "a"), ("end", "b")) == DOCUMENT.replace("{a: 1}", "{b: 1}")


def test_a_moved_key_takes_its_comment_along_and_the_indentation_of_its_new_place() -> None:
    result = yaml_keys.move(DOCUMENT, ("service", "version"), ("rate_limit", "version"))
    lines = "  # shown in logs\n  version: 0.1.0   # bumped by hand\n"
    moved = "    # shown in logs\n    version: 0.1.0   # bumped by hand\n"
    assert result == DOCUMENT.replace(lines, "").replace("- POST /items\n", "- POST /items\n" + moved)


def test_a_value_of_many_lines_is_moved_whole_into_new_mappings() -> None:
    result = yaml_keys.move(DOCUMENT, ("rate_limit", "routes"), ("http", "limits", "routes"))
    lines = "    routes:\n    - GET /items   # many\n    # the last one\n    - POST /items\n"
    assert result == DOCUMENT.replace(lines, "") + "http:\n  limits:\n" + lines


def test_a_block_of_text_is_moved_with_what_looks_like_a_comment() -> None:
    result = yaml_keys.move(DOCUMENT, ("notes",), ("service", "notes"))
    lines = "notes: |\n  # no comment\n  text\n"
    moved = "  notes: |\n    # no comment\n    text\n"
    assert result == DOCUMENT.replace(lines, "").replace("'Orders'\n", "'Orders'\n" + moved)


def test_what_begins_the_file_stays_there() -> None:
    text = "# Yours\na: 1\nb:\n  c: 2\n"
    assert yaml_keys.move(text, ("a",), ("b", "a")) == "# Yours\nb:\n  c: 2\n  a: 1\n"


def test_a_mapping_that_is_left_empty_says_so() -> None:
    text = "a:   # about a\n  b: 1\nc: 2\n"
    assert yaml_keys.move(text, ("a", "b"), ("d",)) == "a: {}   # about a\nc: 2\nd: 1\n"


def test_the_answers_of_copier_are_understood() -> None:
    text = "# header\n_commit: 0.1.0\nbundles:\n-   database\n-   cache\nteam: Orders\n"
    renamed = yaml_keys.move(text, ("bundles",), ("features",))
    assert renamed == text.replace("bundles", "features")
    assert yaml_keys.replace_value(renamed, ("features",), "cache", "redis") == renamed.replace(
        "cache", "redis"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 'x'  # why\n", "a: z  # why\n"),
        ("a: [x, y]\n", "a: [z, y]\n"),
        ("a: y\n", "a: y\n"),
        ("b: x\n", "b: x\n"),
        ("a: {x: x}\n", "a: {x: x}\n"),
    ],
)
def test_a_value_is_replaced_where_it_is(text: str, expected: str) -> None:
    assert yaml_keys.replace_value(text, ("a",), "x", "z") == expected


@pytest.mark.parametrize("value", ["yes", "null", "1", "a b", "~", "x: y", "", "é"])
def test_a_new_value_is_a_string_whatever_it_looks_like(value: str) -> None:
    assert yaml.safe_load(yaml_keys.replace_value("a: x\n", ("a",), "x", value)) == {"a": value}


def test_windows_line_endings_stay() -> None:
    text = "a:\r\n  b: 1\r\n  c: 2\r\n"
    assert yaml_keys.move(text, ("a", "c"), ("d", "c")) == "a:\r\n  b: 1\r\nd:\r\n  c: 2\r\n"


def test_an_edit_that_was_made_changes_nothing() -> None:
    once = yaml_keys.move(DOCUMENT, ("notes",), ("service", "notes"))
    assert yaml_keys.move(once, ("notes",), ("service", "notes")) == once


def test_whether_a_key_is_there_can_be_asked() -> None:
    assert yaml_keys.holds(DOCUMENT, ("service", "team"))
    assert not yaml_keys.holds(DOCUMENT, ("service", "team", "deeper"))


@pytest.mark.parametrize(
    ("text", "old", "new", "reason"),
    [
        ("a: [\n", ("a",), ("b",), "it is no YAML"),
        ("- a\n", ("a",), ("b",), "it holds no mapping"),
        ("", ("a",), ("b",), "it holds no mapping"),
        ("a: 1\n---\nb: 1\n", ("a",), ("b",), "it is no YAML"),
        ("a: 1\na: 2\n", ("a",), ("b",), "a is set twice"),
        ("c: {x: 1, x: 2}\na: 1\n", ("a",), ("b",), "x is set twice"),
        ("a: 1\nb: 2\n", ("a",), ("b",), "both a and b are set"),
        ("a: {b: 1}\n", ("a",), ("a", "c"), "a.c is inside a"),
        ("a: {b: 1}\n", ("a", "b"), ("c",), "a.b shares its line"),
        ("? a\n: 1\n", ("a",), ("b",), "a is not followed by its colon"),
        ("a: 1\nb: {c: 1}\n", ("a",), ("b", "a"), "b is not written as a mapping on lines of its own"),
        ("a: 1\nb: 1\n", ("a",), ("b", "a"), "b is not written as a mapping on lines of its own"),
        ("a: &x 1\nb:\n  c: *x\n", ("a",), ("b", "a"), "a is written in a way that is not understood"),
        ("a: &x\n  b: *x\nc: 1\n", ("c",), ("d",), "an anchor holds itself"),
        ("a: 1\nb:\n  c: '\u2028'\n", ("a",), ("b", "a"), "line breaks"),
        ("b:\n  c:\n      'x\n d'\na: 1\n", ("b", "c"), ("d",), "cannot be indented less"),
    ],
)
def test_a_shape_that_is_not_understood_is_refused(
    text: str, old: tuple[str, ...], new: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        yaml_keys.move(text, old, new)


def test_a_block_of_text_is_no_answer() -> None:
    with pytest.raises(Refused, match="a is written as a block of text"):
        yaml_keys.replace_value("a: |-\n  x\n", ("a",), "x", "z")


NAMES = st.sampled_from(["a", "b", "c", "d-e", '"f: g"', "'h # i'", "é"])
SCALARS = st.sampled_from(
    [
        "1",
        "text  # after",
        '"# no comment"',
        "'two\n lines'",
        "|\n # no comment\n text",
        ">-\n folded\n\n text",
        "",
    ]
)
COMMENTS = st.sampled_from([[], [], [""], ["# above"], ["# one", "# two"], ["", "# apart", ""]])


@st.composite
def mappings(draw: st.DrawFn, depth: int = 0) -> tuple[list[str], list[tuple[str, ...]]]:
    """The lines of a mapping, and the keys in it."""
    lines: list[str] = []
    keys: list[tuple[str, ...]] = []
    for name in draw(st.lists(NAMES, unique=True, min_size=1, max_size=3)):
        lines += draw(COMMENTS)
        key = yaml.safe_load(name)
        keys.append((key,))
        kind = draw(st.sampled_from(["scalar", "sequence", "mapping"] if depth < 2 else ["scalar"]))
        if kind == "scalar":
            first, *rest = draw(SCALARS).split("\n")
            lines += [f"{name}: {first}".rstrip(), *(f"  {line}" if line else "" for line in rest)]
        elif kind == "sequence":
            lines += [f"{name}:", *draw(st.sampled_from([["- 1", "# item", "- x"], ["  - [1,", "    2]"]]))]
        else:
            inner, inner_keys = draw(mappings(depth + 1))
            step = draw(st.sampled_from([2, 4]))
            lines += [f"{name}:", *(" " * step + line if line else "" for line in inner)]
            keys += [(key, *deeper) for deeper in inner_keys]
    return lines, keys


@given(mappings(), st.sampled_from([[], ["# the file"], ["# the file", ""]]), st.data())
def test_moving_a_key_changes_no_other_line(
    mapping: tuple[list[str], list[tuple[str, ...]]], header: list[str], data: st.DataObject
) -> None:
    lines, keys = mapping
    text = "\n".join([*header, *lines, ""])
    old = data.draw(st.sampled_from(keys))
    places = [key[:-1] for key in keys] + [("new",), ("new", "deep")]
    new = (*data.draw(st.sampled_from([place for place in places if place[: len(old)] != old])), "moved here")
    result = yaml_keys.move(text, old, new)
    expected = yaml.safe_load(text)
    value = take(expected, old)
    give(expected, new, value)
    assert yaml.safe_load(result) == expected
    assert comments(result) == comments(text)
    before = Counter(line.strip() for line in text.split("\n"))
    after = Counter(line.strip() for line in result.split("\n"))
    opened = len(new) - 1 if new[0] == "new" else 0
    emptied = 1 if len(old) > 1 and not find(expected, old[:-1]) else 0
    assert sum((before - after).values()) == 1 + emptied
    assert sum((after - before).values()) == 1 + emptied + opened
    assert yaml_keys.move(result, old, new) == result


def comments(text: str) -> Counter[str]:
    """Whole-line comments, without the lines of text that only look like one."""
    return Counter(line.strip() for line in text.split("\n") if line.strip().startswith("#"))


def find(data: Any, key: tuple[str, ...]) -> Any:
    for name in key:
        data = data[name]
    return data


def take(data: Any, key: tuple[str, ...]) -> Any:
    return find(data, key[:-1]).pop(key[-1])


def give(data: Any, key: tuple[str, ...], value: Any) -> None:
    for name in key[:-1]:
        data = data.setdefault(name, {})
    data[key[-1]] = value
