"""A key of a TOML document is moved or renamed; comments, order and quoting of everything else stay."""

import importlib
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "hooks" / "migrations"))
toml_document = importlib.import_module("toml_document")
toml_keys = importlib.import_module("toml_keys")
toml_lists = importlib.import_module("toml_lists")
Refused = importlib.import_module("refused").Refused

DOCUMENT = """\
# Merged: the template and you both write here.

# Yours: what the service is.
[project]
name = "orders"  # as on the bill
version = '1.2.3'

# The template's.
[tool.chassis]
# the package under src/
package = "orders"
patterns = [
    "a]b",  # not the end
    "c",
]

[tool.uv.sources]
vendored-chassis = { path = "chassis", editable = true }
"""


def test_a_renamed_key_changes_nothing_but_its_name() -> None:
    result = toml_keys.move(DOCUMENT, ("tool", "chassis", "package"), ("tool", "chassis", "module"))
    assert result == DOCUMENT.replace("package = ", "module = ")


def test_a_moved_key_takes_its_comment_and_its_lines_along() -> None:
    result = toml_keys.move(DOCUMENT, ("tool", "chassis", "package"), ("project", "package"))
    assert result == DOCUMENT.replace('# the package under src/\npackage = "orders"\n', "").replace(
        "version = '1.2.3'\n", "version = '1.2.3'\n# the package under src/\npackage = \"orders\"\n"
    )


def test_a_value_of_many_lines_is_moved_whole_into_a_new_table() -> None:
    result = toml_keys.move(DOCUMENT, ("tool", "chassis", "patterns"), ("tool", "checks", "patterns"))
    lines = 'patterns = [\n    "a]b",  # not the end\n    "c",\n]\n'
    assert result == DOCUMENT.replace(lines, "") + "\n[tool.checks]\n" + lines


def test_a_table_is_renamed_with_the_tables_in_it() -> None:
    text = "[tool.old]\na = 1\n[tool.old.inner]\nb = 2\n[[tool.old.list]]\nc = 3\n"
    result = toml_keys.move(text, ("tool", "old"), ("tool", "new"))
    assert result == text.replace("tool.old", "tool.new")


def test_a_table_that_is_never_named_disappears_with_its_last_one() -> None:
    assert toml_keys.move("[a.b]\nc = 1\n", ("a", "b"), ("d", "b")) == "[d.b]\nc = 1\n"


def test_a_key_can_move_to_the_root() -> None:
    text = "top = 1\n\n# about t\n[t]\nx = 2\n"
    assert toml_keys.move(text, ("t", "x"), ("x",)) == "top = 1\nx = 2\n\n# about t\n[t]\n"


def test_a_key_can_move_to_a_root_that_has_none() -> None:
    text = "# the file\n\n# about t\n[t]\nx = 2\n"
    assert toml_keys.move(text, ("t", "x"), ("x",)) == "# the file\n\nx = 2\n# about t\n[t]\n"


def test_names_that_need_quotes_get_them() -> None:
    assert toml_keys.move("a = 1\n", ("a",), ("b c",)) == '"b c" = 1\n'


def test_windows_line_endings_stay() -> None:
    text = "[a]\r\nx = 1\r\ny = [\r\n  2,\r\n]\r\n"
    assert toml_keys.move(text, ("a", "y"), ("b", "y")) == "[a]\r\nx = 1\r\n\r\n[b]\r\ny = [\r\n  2,\r\n]\r\n"


def test_an_edit_that_was_made_changes_nothing() -> None:
    once = toml_keys.move(DOCUMENT, ("project", "name"), ("project", "title"))
    assert toml_keys.move(once, ("project", "name"), ("project", "title")) == once


def test_whether_a_key_is_there_can_be_asked() -> None:
    assert toml_keys.holds(DOCUMENT, ("tool", "chassis", "package"))
    assert not toml_keys.holds(DOCUMENT, ("tool", "chassis", "package", "deeper"))


@pytest.mark.parametrize(
    ("text", "old", "new", "reason"),
    [
        ("a = \n", ("a",), ("b",), "it is no TOML"),
        ("a = 1\nb = 2\n", ("a",), ("b",), "both a and b are set"),
        ("t = { a = 1 }\n", ("t", "a"), ("t", "b"), "t.a is written in a way that is not understood"),
        ("a.b = 1\n", ("a", "b"), ("c", "b"), None),
        ("[t]\na.b = 1\n", ("t", "a", "b"), ("u", "b"), "t.a.b is written as a dotted key of"),
        ("[[t]]\na = 1\n[u]\nb = 1\n", ("u", "b"), ("t", "b"), "t is no table"),
        ("a.x = 1\n[t]\nb = 2\n", ("t", "b"), ("a", "b"), "t.b is written in a way"),
    ],
)
def test_a_shape_that_is_not_understood_is_refused(
    text: str, old: tuple[str, ...], new: tuple[str, ...], reason: str | None
) -> None:
    if reason is None:
        assert tomllib.loads(toml_keys.move(text, old, new)) == {"c": {"b": 1}}
        return
    with pytest.raises(Refused, match=reason):
        toml_keys.move(text, old, new)


LISTS = [
    ('x = ["a", "b", "c"]\n', 'x = ["b", "c"]\n'),
    ('x = ["b", "a"]\n', 'x = ["b"]\n'),
    ('x = ["a"]\n', "x = []\n"),
    ('x = [\n  \'a\', # why\n  "b",  # "a"\n]\n', 'x = [\n  "b",  # "a"\n]\n'),
    ('x = [\n  "b",\n  "a"\n]\n', 'x = [\n  "b",\n]\n'),
    ('x = [ # "a"\n  "a", "b",\n]\n', 'x = [ # "a"\n  "b",\n]\n'),
    ('x = ["b"]\n', 'x = ["b"]\n'),
    ("y = 1\n", "y = 1\n"),
]


@pytest.mark.parametrize(("text", "expected"), LISTS)
def test_an_item_is_removed_with_its_line(text: str, expected: str) -> None:
    assert toml_lists.remove_item(text, ("x",), "a") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('x = ["a", "b"] # "a"\n', 'x = ["z", "b"] # "a"\n'),
        ("x = ['a']\n", "x = ['z']\n"),
        ('x = ["aa"]\n', 'x = ["aa"]\n'),
    ],
)
def test_an_item_is_replaced_in_its_quotes(text: str, expected: str) -> None:
    assert toml_lists.replace_item(text, ("x",), "a", "z") == expected


def test_a_list_that_is_not_understood_is_refused() -> None:
    with pytest.raises(Refused, match="holds 'a' twice"):
        toml_lists.remove_item('x = ["a", "a"]\n', ("x",), "a")
    with pytest.raises(Refused, match="is not written as a list of its own"):
        toml_lists.remove_item('t = { x = ["a"] }\n', ("t", "x"), "a")
    with pytest.raises(Refused, match="cannot be told from other text"):
        toml_lists.remove_item('x = ["a", { y = "a" }]\n', ("x",), "a")


def test_the_strings_of_a_list_are_given() -> None:
    assert toml_lists.items('x = ["a", { y = 1 }, "b"]\n', ("x",)) == ["a", "b"]
    assert toml_lists.items("x = 1\n", ("x",)) == []


def test_an_item_is_set_apart_by_comments() -> None:
    text = 'x = [\n    "a",\n    "b",  # why\n    "c"\n]\n'
    apart = toml_lists.set_apart(text, ("x",), "b", "# above", "# below")
    assert apart == text.replace('    "b",  # why\n', '    # above\n    "b",  # why\n    # below\n')
    assert toml_lists.set_apart(apart, ("x",), "b", "# above", "# below") == apart
    assert toml_lists.set_apart(text, ("x",), "z", "# above", "# below") == text
    with pytest.raises(Refused, match="has no line of its own"):
        toml_lists.set_apart('x = ["b"]\n', ("x",), "b", "# above", "# below")


def test_a_key_gets_a_comment_once() -> None:
    text = '[t]\r\n  a = """\r\n"""\r\n'
    commented = toml_keys.comment(text, ("t", "a"), "# why")
    assert commented == '[t]\r\n  # why\r\n  a = """\r\n"""\r\n'
    assert toml_keys.comment(commented, ("t", "a"), "# why") == commented
    assert toml_keys.comment(text, ("t", "b"), "# why") == text


NAMES = st.sampled_from(["a", "b", "c", "d-e", "f g", "h.i", "é"])
VALUES = st.sampled_from(
    [
        "1",
        '"x = [1] # no comment"',
        "'''\nlines\n[no.table]\n# no comment\n'''",
        "[\n  1, # one\n  2,\n]",
        "{ k = 1, l = [2] }",
        "2026-11-20T10:00:00Z",
        "nan",
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[tuple[str, ...]]]:
    """A document with comments and blank lines at random, and the keys in it."""
    lines = draw(st.sampled_from([[], ["# the file"], ["# the file", ""]]))
    keys: list[tuple[str, ...]] = []
    tables = draw(st.lists(st.lists(NAMES, min_size=1, max_size=2).map(tuple), unique=True, max_size=4))
    for number, table in enumerate([(), *tables]):
        if any(table[: len(key)] == key or key[: len(table)] == table for key in keys if table):
            continue
        if table:
            lines += draw(st.sampled_from([[], [""], ["", f"# about table {number}"]]))
            lines.append(f"[{toml_document.written(table)}]{draw(st.sampled_from(['', '  # header']))}")
        for name in draw(st.lists(NAMES, unique=True, max_size=3)):
            if any(other[: len(table) + 1] == (*table, name) for other in tables):
                continue
            lines += draw(st.sampled_from([[], [""], [f"# about {number} {name}"], ["# one", "# two"]]))
            after = draw(st.sampled_from(["", "  # after"]))
            lines += f"{toml_document.written((name,))} = {draw(VALUES)}{after}".split("\n")
            keys.append((*table, name))
    return "\n".join([*lines, draw(st.sampled_from(["", "# the end\n"]))]), keys


@given(documents(), st.data())
def test_moving_a_key_changes_no_other_line(
    document: tuple[str, list[tuple[str, ...]]], data: st.DataObject
) -> None:
    text, keys = document
    if not keys:
        return
    old = data.draw(st.sampled_from(keys))
    parents = [*{key[:-1] for key in keys}, ("new",), ("new", "deep")]
    new = (*data.draw(st.sampled_from(parents)), "moved here")
    result = toml_keys.move(text, old, new)
    expected = tomllib.loads(text)
    value = take(expected, old)
    give(expected, new, value)
    assert repr(ordered(tomllib.loads(result))) == repr(ordered(expected))
    before, after = Counter(text.split("\n")), Counter(result.split("\n"))
    removed, added = before - after, after - before
    assert sum(removed.values()) == 1
    assert sum(added.values()) - sum(removed.values()) in {0, 2}
    assert [line for line in added if line.strip().startswith("#")] == []
    untouched = [line for line in text.split("\n") if before[line] == after[line] == 1]
    if old[:-1] == new[:-1]:
        assert [line for line in result.split("\n") if line in untouched] == untouched
    assert toml_keys.move(result, old, new) == result


def take(data: Any, key: tuple[str, ...]) -> Any:
    for name in key[:-1]:
        data = data[name]
    return data.pop(key[-1])


def give(data: Any, key: tuple[str, ...], value: Any) -> None:
    for name in key[:-1]:
        data = data.setdefault(name, {})
    data[key[-1]] = value


def ordered(data: Any) -> Any:
    return {name: ordered(data[name]) for name in sorted(data)} if isinstance(data, dict) else data


def test_an_item_is_added_below_a_comment_once() -> None:
    text = 'x = [\r\n  # mine\r\n  "a",\r\n]\r\n'
    added = toml_lists.add_item(text, ("x",), "# mine", "b")
    assert added == 'x = [\r\n  # mine\r\n  "b",\r\n  "a",\r\n]\r\n'
    assert toml_lists.add_item(added, ("x",), "# mine", "b") == added
    assert toml_lists.add_item(text, ("x",), "# other", "b") == text
    assert toml_lists.add_item(text, ("y",), "# mine", "b") == text
