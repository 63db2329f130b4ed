"""The template is read from a folder, a bundle file or an address."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.template import Template, address, fetch, masked, tags_of
from chassis.cli.update.versions import Recorded, Version

Git = Callable[..., str]


@pytest.fixture(params=["folder", "bundle", "url"])
def source(request: pytest.FixtureRequest, template: Path, tmp_path: Path, git: Git) -> str:
    if request.param == "bundle":
        git(template, "bundle", "create", "--quiet", tmp_path / "template.bundle", "--all")
        return str(tmp_path / "template.bundle")
    return f"file://{template}" if request.param == "url" else str(template)


def test_one_clone_answers_everything(source: str, tmp_path: Path) -> None:
    found = fetch(source, tmp_path)
    assert sorted(found.tags()) == ["0.1.0", "0.2.0"]
    assert sorted(tags_of(source, tmp_path)) == ["0.1.0", "0.2.0"]
    assert found.recorded("0.1.0") == Recorded("0.1.0", Version(0, 1, 0), exact=True)
    assert "- The `second`." in found.changelog(Version(0, 2, 0))
    assert found.migrations(found.recorded("0.1.0"), Version(0, 2, 0)) == []


def test_a_template_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    source = f"file://{tmp_path}/user:secret@nowhere"
    for ask in (fetch, tags_of):
        with pytest.raises(UpdateError, match="name a clone or a bundle file with --template"):
            ask(source, tmp_path)


def test_no_message_holds_a_password() -> None:
    assert masked("at https://me:t0ken@example.com/x.git: no") == "at https://example.com/x.git: no"
    assert masked("ssh://git@example.com/x") == "ssh://example.com/x"
    assert masked("/a/b@c") == "/a/b@c"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("gh:shop/template", "https://github.com/shop/template.git"),
        ("gl:/shop/template.git", "https://gitlab.com/shop/template.git"),
        ("git+https://example.com/t", "https://example.com/t"),
        ("git@example.com:shop/t.git", "git@example.com:shop/t.git"),
    ],
)
def test_the_shortcuts_of_copier_are_understood(source: str, expected: str) -> None:
    assert address(source) == expected


def test_a_commit_after_a_release_is_described(
    template: Path, tmp_path: Path, git: Git, commit: Callable[[Path], str]
) -> None:
    later = commit(template)
    described = git(template, "describe", "--tags").strip()
    found = fetch(str(template), tmp_path)
    assert found.recorded(described) == Recorded(described, Version(0, 2, 0), exact=False)
    assert found.recorded(later[:9]).release == Version(0, 2, 0)


def test_a_commit_that_the_template_does_not_have(template: Path, tmp_path: Path, git: Git) -> None:
    git(template, "tag", "start", "0.1.0")
    git(template, "tag", "--delete", "0.1.0", "0.2.0")
    found = fetch(str(template), tmp_path)
    with pytest.raises(UpdateError, match=r"no commit 0\.1\.0.*tag was removed"):
        found.recorded("0.1.0")
    with pytest.raises(UpdateError, match="comes before the first release that the template has a tag of"):
        found.recorded("start")
    assert found.describe("start") == "start"


SETTINGS = """
_migrations:
  - version: 0.1.0
    command: old
  - version: 0.2.0
    command: crossed
  - version: "0.3.0"
    command: not yet
  - version: named
    command: never
"""


@pytest.mark.parametrize(
    ("settings", "crossed"),
    [
        (SETTINGS, ["0.2.0"]),
        ("_migrations: [echo always]\n", ["every update"]),
        ("_migrations: [{command: x}]\n", ["every update"]),
        ("- no settings\n", []),
    ],
)
def test_only_migrations_that_are_crossed_need_trust(
    template: Path, tmp_path: Path, commit: Callable[[Path], str], settings: str, crossed: list[str]
) -> None:
    (template / "copier.yml").unlink()
    (template / "copier.yaml").write_text(settings)
    commit(template)
    (template / ".git/refs/tags/0.2.0").write_bytes((template / ".git/refs/heads/main").read_bytes())
    found = fetch(str(template), tmp_path)
    assert found.migrations(found.recorded("0.1.0"), Version(0, 2, 0)) == crossed


def test_a_template_without_settings_or_changelog(
    tmp_path: Path, git: Git, commit: Callable[[Path], str]
) -> None:
    (tmp_path / "empty").mkdir()
    commit(tmp_path / "empty")
    git(tmp_path / "empty", "tag", "0.1.0")
    found = Template(tmp_path / "empty/.git")
    assert found.changelog(Version(0, 1, 0)) == ""
    assert found.migrations(found.recorded("0.1.0"), Version(0, 1, 0)) == []


def test_a_git_that_finds_no_bare_repository_is_told_where_it_is(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fetch(str(template), tmp_path)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.bareRepository")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "explicit")
    assert found.tags() == ["0.1.0", "0.2.0"]
    assert str(found.recorded("0.1.0")) == "0.1.0"
    assert "0.2.0" in found.changelog(Version(0, 2, 0))
