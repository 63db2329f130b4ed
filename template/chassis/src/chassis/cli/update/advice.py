"""What is left to do by hand after an answer changed, as two renders tell it: before and after."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from chassis.cli.update.ownership import Owner, Ownership

__all__ = ["advise", "pointing_at_nothing"]

# The files of a package that say what the service is made of. The rest of it is an example.
COMPOSITION = ("app.py", "settings.py")
PROJECT = "pyproject.toml"


def advise(before: Path, after: Path, package: str, service: Path) -> list[str]:
    """Return, as differences, the lines to add to or remove from what is yours: composition and dependencies.

    The renders are those of the old and of the new answers. What the service has already is not told again.
    """
    files = [f"src/{package}/{name}" for name in COMPOSITION]
    return [text for path in (*files, PROJECT) if (text := _difference(before, after, path, service))]


def pointing_at_nothing(
    before: Path, after: Path, ownership: Ownership, service: Path, tracked: Sequence[str]
) -> list[str]:
    """Return the owner's files that a dropped answer leaves without a purpose; all of them are kept.

    They are the ones in folders that a service with the new answers does not have, the seeds that it does not
    have, and those that import a bundle that is in no extra any more.
    """
    lost = {path for path in _paths(before) - _paths(after) if ownership.owner(path) is Owner.SERVICE}
    folders = {f"{folder}/" for path in lost for folder in _gone_folders(path, after)}
    imports = _dropped_imports(before, after)
    found = set()
    for path in tracked:
        if ownership.owner(path) is not Owner.SERVICE or not (service / path).is_file():
            continue
        inside = path in lost or any(path.startswith(folder) for folder in folders)
        if inside or (imports and path.endswith(".py") and imports.search(_text(service / path))):
            found.add(path)
    return sorted(found)


def _difference(before: Path, after: Path, path: str, service: Path) -> str:
    old, new = _text(before / path).splitlines(), _text(after / path).splitlines()
    here = set(_text(service / path).splitlines())
    if set(new) - set(old) <= here and not (set(old) - set(new)) & here:
        return ""
    return "\n".join(difflib.unified_diff(old, new, path, path, n=1, lineterm=""))


def _gone_folders(path: str, after: Path) -> Iterator[str]:
    for folder in Path(path).parents:
        if folder != Path() and not (after / folder).exists():
            yield folder.as_posix()


def _dropped_imports(before: Path, after: Path) -> re.Pattern[str] | None:
    dropped = _extras(before) - _extras(after)
    return re.compile(rf"\bchassis\.bundles\.({'|'.join(sorted(dropped))})\b") if dropped else None


def _extras(render: Path) -> set[str]:
    found = re.search(r"vendored-chassis\[([a-z, -]*)\]", _text(render / PROJECT))
    return set(found[1].replace(" ", "").split(",")) if found else set()


def _paths(render: Path) -> set[str]:
    return {file.relative_to(render).as_posix() for file in render.rglob("*") if file.is_file()}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
