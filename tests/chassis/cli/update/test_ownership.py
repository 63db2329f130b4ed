"""Whose each file is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.ownership import Owner, Ownership

STATEMENT = """
[headers]
template = "Theirs"
[[rule]]
paths = ["a/b/**"]
class = "service"
[[rule]]
paths = ["a/**", "x.*", "deep/**/end.txt"]
class = "template"
neighbour = "n"
how = "do"
header = false
"""


@pytest.fixture
def ownership(tmp_path: Path, write: Callable[..., None]) -> Ownership:
    write(tmp_path, {"chassis/ownership.toml": STATEMENT})
    return Ownership.read(tmp_path)


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("a/b/c", Owner.SERVICE),
        ("a/b", Owner.TEMPLATE),
        ("a/c/d/e", Owner.TEMPLATE),
        ("a", Owner.SERVICE),
        ("x.yml", Owner.TEMPLATE),
        ("sub/x.yml", Owner.SERVICE),
        ("x.d/file", Owner.SERVICE),
        ("deep/end.txt", Owner.TEMPLATE),
        ("deep/er/still/end.txt", Owner.TEMPLATE),
        ("unnamed", Owner.SERVICE),
    ],
)
def test_the_first_rule_that_names_a_path_decides(ownership: Ownership, path: str, owner: Owner) -> None:
    assert ownership.owner(path) is owner


def test_a_rule_says_where_a_change_belongs(ownership: Ownership) -> None:
    rule = ownership.rule("a/c")
    assert rule is not None
    assert (rule.neighbour, rule.how, rule.header) == ("n", "do", False)
    assert ownership.rule("unnamed") is None
    assert ownership.headers == {Owner.TEMPLATE: "Theirs"}


@pytest.mark.parametrize(
    "text", [None, "rule = ", "[headers]\n", '[headers]\n[[rule]]\npaths = ["a"]\nclass = "whose"\n']
)
def test_a_statement_that_cannot_be_read_says_so(
    tmp_path: Path, write: Callable[..., None], text: str | None
) -> None:
    if text is not None:
        write(tmp_path, {"chassis/ownership.toml": text})
    with pytest.raises(UpdateError, match="cannot be read"):
        Ownership.read(tmp_path)
