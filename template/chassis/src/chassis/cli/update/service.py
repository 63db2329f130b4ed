"""The service that is updated: where it lies, and what it was rendered from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import attempt, lines

__all__ = [
    "ANSWERS",
    "Service",
    "find",
    "healing",
    "locking",
    "read_answers",
    "require_clean",
    "source_line",
    "to_test",
    "with_option",
    "with_source_line",
]

ANSWERS = ".copier-answers.yml"
LOCK = "uv.lock"
# A long value goes on in the lines below it.
SOURCE_LINE = re.compile(r"^_src_path:.*(?:\n[ \t]+.*)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Service:
    """A rendered service in a git repository, alone or in a folder of it.

    ``source`` and ``commit`` are the template and the version of it that the answers name.
    """

    root: Path
    repository: Path
    answers: Mapping[str, Any]

    @property
    def folder(self) -> PurePosixPath:
        """The service's place in the repository; ``.`` if it has one of its own."""
        return PurePosixPath(self.root.relative_to(self.repository).as_posix())

    @property
    def source(self) -> str:
        """Address of the template."""
        return str(self.answers["_src_path"])

    @property
    def commit(self) -> str:
        """What the service was rendered from, as git describes it."""
        return str(self.answers["_commit"])


def find(directory: Path) -> Service:
    """Return the service that a directory lies in. Raises ``UpdateError`` if there is none to update."""
    start = directory.resolve()
    root = next((folder for folder in (start, *start.parents) if (folder / ANSWERS).is_file()), None)
    if root is None:
        raise UpdateError(
            f"no {ANSWERS} in {start} or above: run this in a rendered service, or restore the file with git"
        )
    answers = read_answers(root)
    top = attempt(root, "rev-parse", "--show-toplevel")
    if top.code != 0:
        raise UpdateError(
            f"{root} is in no git repository: git init && git add --all && git commit --message Begin"
        )
    if attempt(root, "rev-parse", "--verify", "--quiet", "HEAD").code != 0:
        raise UpdateError("nothing is committed yet: git add --all && git commit --message Begin")
    if attempt(root, "ls-files", "--error-unmatch", ANSWERS).code != 0:
        raise UpdateError(f"{ANSWERS} is not in git: git add --force {ANSWERS} && git commit")
    return Service(root, Path(top.stdout.removesuffix("\n")), answers)


def read_answers(root: Path) -> Mapping[str, Any]:
    """Return the recorded answers. Raises ``UpdateError`` if they name no template."""
    file = root / ANSWERS
    try:
        answers = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UpdateError(f"{file} cannot be read ({error}): restore it with git") from error
    if not isinstance(answers, dict) or not answers.get("_src_path") or not answers.get("_commit"):
        raise UpdateError(f"{file} names no template (_src_path and _commit): restore it with git")
    return answers


def healing(root: Path) -> str:
    """Return the command that restores what was edited in the template's files."""
    return "make update HEAL=1" if _has_the_targets(root) else "chassis update --heal"


def with_option(root: Path, option: str) -> str:
    """Return the command that updates with an option. ``make`` would take the bare one for its own."""
    return f"make update ARGS={option}" if _has_the_targets(root) else f"chassis update {option}"


def locking(root: Path) -> str:
    """Return the command that renews ``uv.lock``."""
    return "make lock" if _has_the_targets(root) else "uv lock"


def to_test(root: Path) -> str:
    """Return what runs the tests of a service."""
    return "make test" if _has_the_targets(root) else "run the tests"


def require_clean(service: Service) -> None:
    """Raise ``UpdateError`` if something in the service is not committed. What git ignores does not count."""
    entries = lines(service.root, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    if entries:
        files = tuple(entry[3:] for entry in entries if entry[2:3] == " ")
        told = "not everything is committed: commit these files, ignore or remove them, and run this again"
        if f"?? {LOCK}" in entries:
            told += f"; {LOCK} would come back: git add {LOCK}"
        raise UpdateError(told, files=files)
    if not lines(service.root, "ls-files", "-z", "--", "chassis"):
        raise UpdateError(
            "the files of chassis/ are not in git, so no update can reach them: it is ignored, or a link;"
            " git add --force chassis && git commit"
        )
    if attempt(service.root, "var", "GIT_COMMITTER_IDENT").code != 0:
        raise UpdateError("git knows no name to commit under: git config user.name and user.email")


def source_line(answers: str) -> str:
    """Return the line of an answers file that names the template, as it is written."""
    found = SOURCE_LINE.search(answers)
    if found is None:
        raise UpdateError(f"{ANSWERS} has no line _src_path: restore it with git")
    return found[0]


def with_source_line(answers: str, line: str) -> str:
    """Return the answers with another such line."""
    return answers.replace(source_line(answers), line, 1)


def _has_the_targets(root: Path) -> bool:
    """Tell whether the Makefile is the template's: who adopted the standard may have another, or none."""
    try:
        return "chassis update" in (root / "Makefile").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
