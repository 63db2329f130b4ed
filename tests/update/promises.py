"""What an update promises, as one list of what it broke: empty when it kept everything.

Copier's exit code says nothing: it is 0 with conflicts too.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ownership import files, whose
from releases import git

MARKERS = (b"<<<<<<<", b">>>>>>>", b"|||||||")
ANSWERS = ".copier-answers.yml"


def broken_promises(service: Path, before: Path, began: Path, fresh: Path) -> list[str]:
    """Judge an updated service. ``before`` is a copy of it from before the update.

    ``began`` is a render of the version that it had then, ``fresh`` one of the version that it has now, both
    with its answers. What the owner did is the difference between ``began`` and ``before``.
    """
    now, then = contents(service), contents(before)
    first, new = contents(began), contents(fresh)
    return [*unmerged(service), *lost(now, then, first), *stale(now, then, first, new)]


def unmerged(service: Path) -> Iterator[str]:
    """Find conflicts: in git's index, as markers, as rejected hunks."""
    for line in git(service, "ls-files", "--unmerged").splitlines():
        yield f"unmerged: {line}"
    for path, content in contents(service).items():
        if path.endswith(".rej"):
            yield f"rejected: {path}"
        for line in content.splitlines():
            if line.startswith(MARKERS):
                yield f"marker in {path}: {line.decode()}"


def lost(now: dict[str, bytes], then: dict[str, bytes], first: dict[str, bytes]) -> Iterator[str]:
    """Find what the owner wrote or deleted and the update undid."""
    for path, content in then.items():
        if path == ANSWERS:
            continue
        if whose(path) == "service":
            if now.get(path) != content:
                yield f"not as the owner left it: {path}"
            continue
        given = first.get(path, b"").splitlines()
        wrote = Counter(content.splitlines()) - Counter(given)
        gone = wrote - Counter(now.get(path, b"").splitlines())
        yield from (f"lost from {path}: {line.decode()}" for line in gone)
    yield from (f"came back: {path}" for path in (first.keys() - then.keys()) & now.keys())


def stale(
    now: dict[str, bytes], then: dict[str, bytes], first: dict[str, bytes], new: dict[str, bytes]
) -> Iterator[str]:
    """Find files of the template that are not the new ones, though the owner left them alone."""
    for path in sorted(path for path in first.keys() | new.keys() if whose(path) == "template"):
        deleted = path in first and path not in then
        edited = path in then and then[path] != first.get(path)
        if deleted or (edited and path != ANSWERS):
            continue
        if path in new and path not in now:
            yield f"did not arrive: {path}"
        elif path in now and path not in new:
            yield f"stayed: {path}"
        elif path in new and now[path] != new[path]:
            yield f"not the new version: {path}"


def contents(folder: Path) -> dict[str, bytes]:
    """Give the content of every file of a service by its path."""
    return {path: file.read_bytes() for path, file in files(folder).items()}


def failed_tests(service: Path) -> list[str]:
    """Run the service's own tests, on the library that was vendored into it."""
    path = os.pathsep.join([str(service / "src"), str(service / "chassis" / "src")])
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"],
        cwd=service,
        env=kept | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        []
        if done.returncode == 0
        else [f"the service's tests fail:\n{done.stdout[-4000:]}{done.stderr[-2000:]}"]
    )
