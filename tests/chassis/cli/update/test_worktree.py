"""The second tree: nothing of it is left, however an update ends, but the branch that it publishes."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.service import Service, find
from chassis.cli.update.worktree import checked_out, open_worktree

Git = Callable[..., str]

HOLD = """
import pathlib, sys, tempfile, time
from chassis.cli.update.service import find
from chassis.cli.update.worktree import open_worktree
tempfile.tempdir = sys.argv[2]
with open_worktree(find(pathlib.Path(sys.argv[1]))) as tree:
    print(tree.top, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def found(service: Path) -> Service:
    return find(service)


def trees(git: Git, service: Service) -> list[str]:
    listed = git(service.repository, "worktree", "list", "--porcelain")
    return [line.removeprefix("worktree ") for line in listed.splitlines() if line.startswith("worktree ")]


def test_what_is_committed_is_there_and_what_happens_stays_unseen(found: Service, git: Git) -> None:
    before = git(found.repository, "rev-parse", "HEAD")
    with open_worktree(found) as tree:
        assert tree.top.name == found.repository.name
        assert not tree.is_changed()
        (tree.root / "new").touch()
        assert tree.is_changed()
        tree.commit("One\n\n# kept\n")
        tree.commit("Nothing changed\n")
        assert git(tree.top, "log", "--format=%B", "HEAD^!") == "One\n\n# kept\n\n"
        assert git(tree.top, "rev-parse", "HEAD^") == before
    assert trees(git, found) == [str(found.repository)]
    assert not tree.top.parent.exists()
    assert git(found.repository, "branch", "--list").split() == ["*", "main"]
    assert git(found.repository, "status", "--porcelain") == ""


def test_the_tree_goes_when_something_fails(found: Service, git: Git) -> None:
    with pytest.raises(KeyboardInterrupt), open_worktree(found):
        raise KeyboardInterrupt
    assert trees(git, found) == [str(found.repository)]


def test_hooks_do_not_run(found: Service) -> None:
    hook = found.repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {found.repository}/ran\n")
    hook.chmod(0o755)
    with open_worktree(found) as tree:
        (tree.root / "new").touch()
        tree.commit("One\n")
    assert not (found.repository / "ran").exists()


def test_a_branch_is_published(found: Service, git: Git) -> None:
    with open_worktree(found) as tree:
        (tree.root / "new").touch()
        tree.commit("One\n")
        tree.publish("ready")
        assert checked_out(found.repository, "ready") is None
    assert git(found.repository, "show", "--name-only", "--format=", "ready").split() == ["new"]


def test_a_branch_that_was_made_or_changed_meanwhile_is_left_alone(found: Service, git: Git) -> None:
    with open_worktree(found) as first, open_worktree(found) as second:
        first.publish("ready")
        git(first.top, "switch", "--quiet", "ready")
        (first.root / "mine").touch()
        first.commit("Mine\n")
        git(first.top, "switch", "--quiet", "--detach")
        with pytest.raises(UpdateError, match="the branch ready was made or changed while this ran"):
            second.publish("ready")
        with pytest.raises(UpdateError, match="made or changed"):
            second.keep("ready", first.base)
        assert git(found.repository, "rev-parse", "ready").strip() == first.head()
        second.publish("ready", first.head())
    assert git(found.repository, "rev-parse", "ready").strip() == second.base


def test_a_tree_with_conflicts_is_kept_on_its_branch(found: Service, git: Git) -> None:
    with open_worktree(found) as tree:
        blob = git(tree.top, "rev-parse", "HEAD:SECURITY.md").strip()
        stages = "".join(f"100644 {blob} {stage}\tSECURITY.md\n" for stage in (1, 2, 3))
        git(tree.top, "update-index", "--index-info", text=f"0 {'0' * 40}\tSECURITY.md\n{stages}")
        tree.keep("unfinished")
    assert checked_out(found.repository, "unfinished") == tree.top
    assert git(tree.top, "ls-files", "--unmerged") != ""
    with open_worktree(found):
        pass
    assert tree.root.exists(), "a kept tree is not one that was left over"


def test_commits_are_forgotten_with_their_content_kept(found: Service, git: Git) -> None:
    with open_worktree(found) as tree:
        (tree.root / "new").touch()
        tree.commit("One\n", signed=False)
        tree.step_back(tree.base)
        assert tree.head() == tree.base
        assert git(tree.top, "diff", "--cached", "--name-only").split() == ["new"]


def test_what_a_killed_update_left_goes_with_the_next(found: Service, git: Git, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(found.root), str(tmp_path / "tmp")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        with open_worktree(found):
            assert str(left) in trees(git, found), "one that runs is left alone"
        process.send_signal(signal.SIGKILL)
    assert left.exists()
    with open_worktree(found) as tree:
        assert trees(git, found) == [str(found.repository), str(tree.top)]
    assert not left.parent.exists()


def test_a_tree_that_vanished_is_forgotten(found: Service, git: Git, tmp_path: Path) -> None:
    git(found.repository, "worktree", "add", "--quiet", "--detach", tmp_path / "chassis-update-x/orders")
    (tmp_path / "chassis-update-x/orders").rename(tmp_path / "elsewhere")
    with open_worktree(found) as tree:
        assert trees(git, found) == [str(found.repository), str(tree.top)]
