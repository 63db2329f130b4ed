"""Which template-owned files of a service are no longer as they were rendered."""

import difflib
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from chassis.cli.update.git import attempt
from chassis.cli.update.ownership import Owner, Ownership
from chassis.cli.update.service import ANSWERS
from chassis.release import left_out

__all__ = ["LIBRARY", "Edit", "State", "find_edits", "heal", "tell", "with_advice"]

LIBRARY = "chassis/src/chassis/"


class State(StrEnum):
    """What was done to a file by hand. A file of the library that is missing or new changes its digest.

    One that git ignores was done nothing to: no update reached it.
    """

    EDITED = "edited"
    ADDED = "added"
    REMOVED = "removed"
    DELETED = "deleted"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Edit:
    """One file, and where its change belongs."""

    path: str
    state: State
    neighbour: str = ""
    how: str = ""

    @property
    def is_drift(self) -> bool:
        """Tell whether something has to be done. A file that its owner deleted stays deleted."""
        return self.state is not State.DELETED

    def as_dict(self) -> dict[str, str]:
        """Return it for JSON."""
        return asdict(self)

    @property
    def advice(self) -> str:
        """Where its change belongs, in a line; empty if there is nothing to say or to do."""
        if not self.how or self.state in {State.DELETED, State.IGNORED}:
            return ""
        return f"{self.neighbour}: {self.how}" if self.neighbour else self.how

    def as_text(self) -> str:
        """Return it as a line, without the advice."""
        if self.state is State.DELETED:
            return f"{self.path}: deleted by you (stays deleted)"
        if self.state is State.IGNORED:
            return f"{self.path}: ignored by git: git add --force {shlex.quote(self.path)}"
        return f"{self.path}: {self.state} by hand"


def tell(edits: Iterable[Edit]) -> list[str]:
    """Return a line for each file; those with the same advice stand together, above it."""
    groups: dict[str, list[str]] = {}
    for edit in edits:
        groups.setdefault(edit.advice, []).append(edit.as_text())
    return [
        line
        for advice, files in groups.items()
        for line in (*files, *([f"    -> {advice}"] if advice else []))
    ]


def find_edits(service: Path, rendered: Path, ownership: Ownership) -> list[Edit]:
    """Compare the template-owned files of a service with a fresh render of the version it has."""
    return list(_edits(service, rendered, ownership))


def heal(service: Path, rendered: Path, edits: list[Edit]) -> str:
    """Give the edited files their rendered content again; return what that undid as a diff.

    A file that the owner deleted stays deleted, except in the library.
    """
    undone = []
    for edit in edits:
        if edit.state is State.DELETED:
            continue
        mine, original = service / edit.path, rendered / edit.path
        undone.append(_difference(mine, original, edit.path))
        if edit.state is State.ADDED:
            # One that git ignores is not in the tree that is healed.
            mine.unlink(missing_ok=True)
            continue
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.unlink(missing_ok=True)
        shutil.copy(original, mine)
    return "\n".join(undone)


def with_advice(changes: Mapping[str, State], service: Path) -> tuple[Edit, ...]:
    """Return changes of the library with what the service's own statement advises."""
    ownership = Ownership.read(service)
    return tuple(_edit(path, state, ownership) for path, state in changes.items())


def _edits(service: Path, rendered: Path, ownership: Ownership) -> Iterator[Edit]:
    originals = {
        file.relative_to(rendered).as_posix(): file for file in sorted(rendered.rglob("*")) if file.is_file()
    }
    ignored = _ignored(service)
    for path, original in originals.items():
        # The answers are what the render was made from: nothing can be told by comparing them.
        if path == ANSWERS or ownership.owner(path) is not Owner.TEMPLATE:
            continue
        mine = service / path
        if not mine.is_file():
            yield _edit(path, State.REMOVED if path.startswith(LIBRARY) else State.DELETED, ownership)
        elif mine.read_bytes() != original.read_bytes():
            yield _edit(path, State.IGNORED if path in ignored else State.EDITED, ownership)
    library = service / LIBRARY
    for file in sorted(library.rglob("*")):
        path = file.relative_to(service).as_posix()
        if file.is_file() and path not in originals and not left_out(file.relative_to(library)):
            yield _edit(path, State.ADDED, ownership)


def _ignored(service: Path) -> frozenset[str]:
    """Return the files that are in no commit because git ignores them; none where there is no repository."""
    listed = attempt(service, "ls-files", "-z", "--others", "--ignored", "--exclude-standard")
    return frozenset(listed.stdout.split("\0"))


def _edit(path: str, state: State, ownership: Ownership) -> Edit:
    rule = ownership.rule(path)
    return Edit(path, state, rule.neighbour, rule.how) if rule else Edit(path, state)


def _difference(mine: Path, original: Path, path: str) -> str:
    try:
        yours, restored = (
            file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
            for file in (mine, original)
        )
    except ValueError:
        return f"{path}: a binary file"
    return "\n".join(difflib.unified_diff(yours, restored, f"yours/{path}", f"restored/{path}", lineterm=""))
