"""What Copier leaves for a person to decide; its exit code is 0 all the same."""

from pathlib import Path

from chassis.cli.update.git import lines

__all__ = ["changed_files", "unmerged"]

MARKERS = (b"<<<<<<< ", b">>>>>>> ")


def unmerged(top: Path, base: str) -> list[str]:
    """Return the files with a conflict: in git's index, by a marker in what changed, or as a ``.rej``."""
    found = {entry.partition("\t")[2] for entry in lines(top, "ls-files", "-z", "--unmerged")}
    # An ignored .rej is one too.
    found |= set(lines(top, "ls-files", "-z", "--others", "--", "*.rej"))
    found |= {path for path in changed_files(top, base) if _has_marker(top / path)}
    return sorted(found)


def changed_files(top: Path, base: str) -> list[str]:
    """Return the files that differ from a commit and exist; those that git ignores do not count."""
    changed = lines(top, "diff", "-z", "--name-only", "--diff-filter=d", base)
    new = lines(top, "ls-files", "-z", "--others", "--exclude-standard")
    return sorted({*changed, *new})


def _has_marker(file: Path) -> bool:
    return file.is_file() and any(line.startswith(MARKERS) for line in file.read_bytes().splitlines())
