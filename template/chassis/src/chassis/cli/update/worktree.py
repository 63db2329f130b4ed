"""A second tree of the repository, in which everything happens until it is known to be good."""

import contextlib
import fcntl
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import attempt, git, lines
from chassis.cli.update.process import held
from chassis.cli.update.service import Service

__all__ = ["Worktree", "checked_out", "commit_of", "open_worktree", "removal"]

PREFIX = "chassis-update-"
# Locked while its update runs. The lock goes with the process, however that ends: a free one is left over.
LOCK = ".running"
# How git writes the mode of a submodule.
SUBMODULE = "160000 "


@dataclass(slots=True)
class Worktree:
    """The second tree, and the service in it. It goes when the update ends, unless ``keep`` is called."""

    top: Path
    root: Path
    base: str
    kept: bool = False

    def commit(self, message: str, *, signed: bool = True) -> None:
        """Commit what changed, if anything did; ``signed`` as the repository is configured, or not at all."""
        git(self.top, "add", "--all")
        arguments = ("--quiet", "--no-verify", "--cleanup=whitespace", "--file=-")
        if attempt(self.top, "diff", "--cached", "--quiet", "HEAD").code != 0:
            git(self.top, "commit", *arguments, *([] if signed else ["--no-gpg-sign"]), text=message)

    def is_changed(self) -> bool:
        """Tell whether anything differs from what the service has committed."""
        git(self.top, "add", "--all")
        return attempt(self.top, "diff", "--cached", "--quiet", self.base).code != 0

    def head(self) -> str:
        """Return the commit that the tree is at."""
        return git(self.top, "rev-parse", "HEAD").strip()

    def step_back(self, commit: str) -> None:
        """Forget the commits since one, not their content. `git reset` refuses with conflicts."""
        git(self.top, "update-ref", "--no-deref", "HEAD", commit)

    def publish(self, branch: str, taken: str = "") -> None:
        """Give the commits a branch: the only thing that the service's repository sees of all this.

        A branch of that name is moved if it is still at the commit that was ``taken``. Raises ``UpdateError``
        if it is not: another update was faster, and somebody may have gone on from there.
        """
        if commit_of(self.top, branch) != taken:
            raise UpdateError(
                f"the branch {branch} was made or changed while this ran, and is as it was: take it or drop it"
                f" (git branch -D {branch}), then run this again"
            )
        git(self.top, "branch", "--force", "--", branch, "HEAD")

    def keep(self, branch: str, taken: str = "") -> None:
        """Leave the tree, unmerged as it is, on a branch, to be finished by hand."""
        self.publish(branch, taken)
        git(self.top, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        self.kept = True


@contextlib.contextmanager
def open_worktree(service: Service) -> Iterator[Worktree]:
    """Check out what is committed into a temporary folder. What a killed update left there goes first."""
    _remove_left_over(service.repository)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    # The name of the repository's own folder, for tools that take theirs from it.
    top = folder / (service.repository.name or "service")
    tree = Worktree(
        top=top,
        root=top / service.folder,
        base=git(service.repository, "rev-parse", "HEAD").strip(),
    )
    lock = _lock(folder / LOCK)
    try:
        git(service.repository, "worktree", "add", "--quiet", "--detach", tree.top, tree.base)
        _fill_submodules(service.repository, tree.top)
        yield tree
    finally:
        with held():
            if tree.kept:
                (folder / LOCK).unlink()
            else:
                _remove(service.repository, tree.top)
            lock.close()


def removal(tree: Path) -> str:
    """Return the command that removes a tree, with the folder that an update made for it."""
    command = f"git worktree remove --force {shlex.quote(str(tree))}"
    made = tree.parent.name.startswith(PREFIX)
    return f"{command} && rmdir {shlex.quote(str(tree.parent))}" if made else command


def commit_of(repository: Path, branch: str) -> str:
    """Return the commit that a branch is at; empty if there is no such branch."""
    return attempt(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").stdout.strip()


def checked_out(repository: Path, branch: str) -> Path | None:
    """Return the tree that a branch is checked out in."""
    for entry in git(repository, "worktree", "list", "--porcelain", "-z").split("\0\0"):
        fields = entry.split("\0")
        if f"branch refs/heads/{branch}" in fields:
            return Path(fields[0].removeprefix("worktree "))
    return None


def _fill_submodules(repository: Path, top: Path) -> None:
    """Copy the files of the submodules that are checked out: tests may read them, git leaves them empty.

    Not as repositories: git could make these from their addresses only.
    """
    for entry in lines(repository, "ls-files", "-z", "--stage"):
        folder = entry.partition("\t")[2]
        if not entry.startswith(SUBMODULE) or not (repository / folder / ".git").exists():
            continue
        for path in lines(repository / folder, "ls-files", "-z", "--recurse-submodules"):
            source, copied = repository / folder / path, top / folder / path
            if source.is_symlink() or source.is_file():
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copied, follow_symlinks=False)


def _remove_left_over(repository: Path) -> None:
    """Remove the trees of updates that were killed: those with a lock that nobody holds."""
    for field in lines(repository, "worktree", "list", "--porcelain", "-z"):
        tree = Path(field.removeprefix("worktree "))
        if not field.startswith("worktree ") or not tree.parent.name.startswith(PREFIX):
            continue
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            _lock(tree.parent / LOCK, create=False).close()
            _remove(repository, tree)
    git(repository, "worktree", "prune")


def _remove(repository: Path, tree: Path) -> None:
    attempt(repository, "worktree", "remove", "--force", "--force", tree)
    shutil.rmtree(tree.parent, ignore_errors=True)
    git(repository, "worktree", "prune")


def _lock(file: Path, *, create: bool = True) -> TextIO:
    """Lock a file. Raises ``BlockingIOError`` while another process holds it."""
    opened = file.open("w" if create else "r+", encoding="utf-8")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        raise
    return opened
