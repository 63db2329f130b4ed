"""chassis/ownership.toml says whose each file is; first lines of files and copier.yml agree with it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.cli.update.ownership import Owner, Ownership

ROOT = Path(__file__).resolve().parents[2]
# Every file that a render can have is in one of these.
EXTREMES: list[dict[str, Any]] = [
    {},
    {"bundles": "every", "ci": "gitlab", "deployment": "compose"},
    {"bundles": "every", "ci": "none", "deployment": "none"},
]


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def files(render: Callable[..., Path], settings: dict[str, Any]) -> dict[str, Path]:
    """Every rendered file by its path in the service."""
    every = list(settings["bundles"]["choices"].values())
    found = {}
    for answers in EXTREMES:
        given = answers | ({"bundles": every} if "bundles" in answers else {})
        folder = render(**given)
        found |= {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return found


@pytest.fixture(scope="module")
def ownership() -> Ownership:
    return Ownership.read(ROOT / "template")


def excluded_once(settings: dict[str, Any], condition: str) -> set[str]:
    """The paths that copier.yml leaves out under a condition, as they are written there."""
    branches = [
        branch
        for block in settings["_exclude"]
        for branch in re.findall(r"{% if (.*?) %}\n(.*?){% endif %}", block, re.DOTALL)
    ]
    return {
        line.strip()
        for when, lines in branches
        if condition in when
        for line in lines.splitlines()
        if line.strip().startswith("/")
    }


def covered(path: str, patterns: set[str]) -> bool:
    return any(f"/{path}" == pattern or f"/{path}".startswith(f"{pattern}/") for pattern in patterns)


def test_every_rendered_file_has_a_rule(files: dict[str, Path], ownership: Ownership) -> None:
    assert [path for path in files if ownership.rule(path) is None] == []


def test_every_rule_is_about_a_rendered_file_or_a_neighbour(
    files: dict[str, Path], ownership: Ownership
) -> None:
    neighbours = [rule.neighbour for rule in ownership.rules]
    unused = [
        glob
        for rule in ownership.rules
        for glob in rule.paths
        if not any(ownership.rule(path) is rule and _names(glob, path) for path in files)
        and not any(_names(glob, neighbour) for neighbour in neighbours)
    ]
    assert unused == []


def _names(glob: str, path: str) -> bool:
    pattern = re.escape(glob).replace(r"\*\*/", "(.+/)?").replace(r"\*\*", ".+").replace(r"\*", "[^/]*")
    return re.fullmatch(pattern, path) is not None


def test_every_file_that_can_says_in_its_first_line_whose_it_is(
    files: dict[str, Path], ownership: Ownership
) -> None:
    wrong = {}
    for path, file in files.items():
        rule = ownership.rule(path)
        if rule is None or not rule.header:
            continue
        text = file.read_text(encoding="utf-8").splitlines()
        first = text[1] if text[0].startswith("#!") else text[0]
        if not re.match(rf"(# |<!-- |\"\"\"){ownership.headers[rule.owner]}: ", first):
            wrong[path] = first
    assert wrong == {}


def test_what_says_nothing_in_the_owners_folders_is_the_owners(
    files: dict[str, Path], ownership: Ownership
) -> None:
    folders = ("src/", "tests/", "migrations/")
    silent = [
        path
        for path, file in files.items()
        if path.startswith(folders) and "Owned by the template" not in file.read_text(encoding="utf-8")[:200]
    ]
    assert {path.split("/")[0] for path in silent} == {"src", "tests", "migrations"}
    assert [path for path in silent if ownership.owner(path) is not Owner.SERVICE] == []


@pytest.mark.parametrize("path", ["config/defaults.yaml", "tests/test_conformance.py"])
def test_what_the_documentation_calls_the_templates_is_its(path: str, ownership: Ownership) -> None:
    rule = ownership.rule(path)
    assert rule is not None
    assert rule.owner is Owner.TEMPLATE


def test_every_template_owned_file_names_a_place_for_a_change(ownership: Ownership) -> None:
    for rule in ownership.rules:
        if rule.owner is Owner.TEMPLATE:
            assert rule.how.endswith("."), rule.paths
        else:
            assert not rule.how, rule.paths


def test_a_change_never_belongs_into_another_file_of_the_template(ownership: Ownership) -> None:
    for rule in ownership.rules:
        if rule.neighbour:
            place = f"{rule.neighbour}mine" if rule.neighbour.endswith("/") else rule.neighbour
            assert ownership.owner(place) is not Owner.TEMPLATE, rule.paths


def test_what_is_yours_is_never_overwritten(
    files: dict[str, Path], ownership: Ownership, settings: dict[str, Any]
) -> None:
    patterns = set(settings["_skip_if_exists"])
    assert {path for path in files if ownership.owner(path) is Owner.SERVICE} == {
        path for path in files if covered(path, patterns)
    }


def test_what_is_yours_is_seeded_once(
    files: dict[str, Path], ownership: Ownership, settings: dict[str, Any]
) -> None:
    patterns = excluded_once(settings, "'update'") | excluded_once(settings, "recorded.")
    assert {path for path in files if ownership.owner(path) is Owner.SERVICE} == {
        path for path in files if covered(path, patterns)
    }


def test_a_recopy_leaves_merged_files_alone(
    files: dict[str, Path], ownership: Ownership, settings: dict[str, Any]
) -> None:
    assert {f"/{path}" for path in files if ownership.owner(path) is Owner.MERGED} == excluded_once(
        settings, "== 'copy'"
    )
