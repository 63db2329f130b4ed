"""Git, and what is said when it does not do its work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import attempt, git, lines, settings
from chassis.cli.update.process import run


def test_what_git_prints(service: Path) -> None:
    assert git(service, "hash-object", "--stdin", text="") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n"
    assert "src/orders/app.py" in lines(service, "ls-files", "-z")


def test_paths_of_any_name_are_told_as_they_are(service: Path, commit: Callable[[Path], str]) -> None:
    (service / 'é "x"\n.txt').touch()
    commit(service)
    assert 'é "x"\n.txt' in lines(service, "ls-files", "-z")


def test_a_failure_shows_what_git_said(service: Path) -> None:
    with pytest.raises(UpdateError, match="git show failed") as raised:
        git(service, "show", "nothing")
    assert "nothing" in raised.value.output
    assert attempt(service, "show", "nothing").code != 0


def test_without_git_it_says_what_to_install(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(service))
    with pytest.raises(UpdateError, match="git is not installed"):
        git(service, "status")


def test_what_a_user_configured_does_not_reach_the_git_of_other_programs(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = {
        "apply.whitespace": ("error", "nowarn"),
        "core.hooksPath": ("/hooks", "/dev/null"),
        "core.quotePath": ("false", "true"),
        "status.showUntrackedFiles": ("no", "normal"),
        "core.excludesFile": ("/mine", "/dev/null"),
        "core.attributesFile": ("/mine", "/dev/null"),
        "user.name": ("Mine", "Mine"),
        "merge.conflictStyle": ("diff3", "diff3"),
    }
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(configured)))
    for number, (key, (value, _)) in enumerate(configured.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)

    def configuration(key: str) -> str:
        return run(["git", "config", key], service, environ=settings()).stdout.strip()

    assert {key: configuration(key) for key in configured} == {
        key: new for key, (_, new) in configured.items()
    }
