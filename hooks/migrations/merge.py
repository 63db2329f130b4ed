"""Three versions of a file become one: the owner's, the one it began from, and the template's new one."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from refused import Refused

__all__ = ["Merged", "merge"]

# `git merge-file` gives the number of conflicts, up to this; more is an error.
MOST_CONFLICTS = 127


@dataclass(frozen=True)
class Merged:
    """The merged content. With conflicts it holds markers: do not leave it in the owner's tree."""

    content: bytes
    conflicts: int


def merge(mine: bytes, base: bytes, theirs: bytes) -> Merged:
    """Merge the changes from ``base`` to ``theirs`` into ``mine``. Raises ``Refused`` for binary content."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("mine", mine), ("base", base), ("theirs", theirs)):
            Path(folder, name).write_bytes(content)
        done = subprocess.run(
            ["git", "merge-file", "--stdout", "mine", "base", "theirs"],  # noqa: S607 - the git that Copier uses
            cwd=folder,
            capture_output=True,
            check=False,
        )
    if not 0 <= done.returncode <= MOST_CONFLICTS:
        raise Refused(f"it cannot be merged: {done.stderr.decode(errors='replace').strip()}")
    return Merged(done.stdout, done.returncode)
