"""Which service is updated, and what it must be like for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.service import (
    find,
    healing,
    locking,
    require_clean,
    source_line,
    to_test,
    with_option,
    with_source_line,
)

Git = Callable[..., str]


def test_a_service_is_found_from_within(service: Path, template: Path) -> None:
    found = find(service / "src/orders")
    assert found.root == service
    assert str(found.folder) == "."
    assert (found.source, found.commit) == (str(template), "0.1.0")


def test_a_service_in_a_folder_of_a_repository(
    service: Path, tmp_path: Path, commit: Callable[[Path], str]
) -> None:
    (tmp_path / "mono/services").mkdir(parents=True)
    service.rename(tmp_path / "mono/services/orders")
    (tmp_path / "mono/services/orders/.git").rename(tmp_path / "gone")
    commit(tmp_path / "mono")
    found = find(tmp_path / "mono/services/orders")
    assert str(found.folder) == "services/orders"
    assert found.repository == tmp_path / "mono"


def no_answers(service: Path, git: Git) -> None:
    (service / ".copier-answers.yml").unlink()


def no_repository(service: Path, git: Git) -> None:
    (service / ".git").rename(service.parent / "gone")


def no_commit(service: Path, git: Git) -> None:
    no_repository(service, git)
    git(service, "init", "--quiet")


def answers_not_in_git(service: Path, git: Git) -> None:
    git(service, "rm", "--quiet", "--cached", ".copier-answers.yml")


def no_template(service: Path, git: Git) -> None:
    (service / ".copier-answers.yml").write_text("port: 8000\n")


def no_yaml(service: Path, git: Git) -> None:
    (service / ".copier-answers.yml").write_text("a: [\n")


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (no_answers, r"no \.copier-answers\.yml in .* or above"),
        (no_repository, "in no git repository: git init"),
        (no_commit, "nothing is committed yet"),
        (answers_not_in_git, r"answers\.yml is not in git"),
        (no_template, "names no template"),
        (no_yaml, "cannot be read"),
    ],
)
def test_what_cannot_be_updated_says_why(
    service: Path, git: Git, break_it: Callable[[Path, Git], None], reason: str
) -> None:
    break_it(service, git)
    with pytest.raises(UpdateError, match=reason):
        find(service)


def test_what_is_not_committed_is_named_and_what_is_ignored_does_not_count(service: Path, git: Git) -> None:
    (service / "debug.log").touch()
    require_clean(find(service))
    (service / "new file").touch()
    (service / "src/orders/app.py").write_text("changed\n")
    git(service, "mv", "SECURITY.md", "SAFETY.md")
    with pytest.raises(UpdateError, match="not everything is committed") as raised:
        require_clean(find(service))
    assert sorted(raised.value.files) == ["SAFETY.md", "new file", "src/orders/app.py"]


def test_a_lock_that_was_never_committed_is_to_be_added(service: Path) -> None:
    (service / "uv.lock").touch()
    with pytest.raises(UpdateError, match=r"; uv\.lock would come back: git add uv\.lock$"):
        require_clean(find(service))


def test_what_others_left_in_the_repository_does_not_count(
    service: Path, tmp_path: Path, commit: Callable[[Path], str]
) -> None:
    (service / ".git").rename(tmp_path / "gone")
    (tmp_path / "mono").mkdir()
    service.rename(tmp_path / "mono/orders")
    commit(tmp_path / "mono")
    (tmp_path / "mono/other.txt").touch()
    require_clean(find(tmp_path / "mono/orders"))


def test_git_must_know_a_name_to_commit_under(
    service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UpdateError, match=r"git config user\.name"):
        require_clean(find(service))


def test_the_line_of_the_template_is_exchanged_and_put_back() -> None:
    text = "# head\n_commit: 0.1.0\n_src_path: /a path so long that it\n  goes on here\nport: 8000\n"
    line = source_line(text)
    changed = with_source_line(text, "_src_path: elsewhere")
    assert changed == "# head\n_commit: 0.1.0\n_src_path: elsewhere\nport: 8000\n"
    assert with_source_line(changed, line) == text
    with pytest.raises(UpdateError, match="no line _src_path"):
        source_line("port: 8000\n")


@pytest.mark.parametrize("makefile", [None, "all:\n"])
def test_commands_are_those_that_the_service_has(service: Path, makefile: str | None) -> None:
    assert (healing(service), locking(service)) == ("make update HEAL=1", "make lock")
    assert (with_option(service, "--keep"), to_test(service)) == ("make update ARGS=--keep", "make test")
    (service / "Makefile").unlink()
    if makefile is not None:
        (service / "Makefile").write_text(makefile)
    assert (healing(service), locking(service)) == ("chassis update --heal", "uv lock")
    assert (with_option(service, "--keep"), to_test(service)) == ("chassis update --keep", "run the tests")
