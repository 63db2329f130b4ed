"""The service's own tools, run in the second tree: lock, formatter and tests."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import attempt
from chassis.cli.update.process import Completed, run
from chassis.cli.uv import find_uv

__all__ = ["Lock", "format_files", "is_locked", "lock", "tail", "test"]

TAIL_LINES = 40
# How uv says that it could not ask an index. Anything else is a conflict between what is required.
NO_NETWORK = (
    "failed to fetch",
    "error sending request",
    "network connectivity is disabled",
    "network was disabled",
    "dns error",
    "failed to lookup address",
    "connection refused",
    "timed out",
)


class Lock(StrEnum):
    """What became of ``uv.lock``."""

    RENEWED = "renewed"
    STALE = "stale"
    ABSENT = "absent"


def lock(root: Path, top: Path, service: Path) -> tuple[Lock, str]:
    """Resolve the dependencies anew; return what became of the lock and, if it is stale, why.

    A service without a committed lock gets none. Raises ``UpdateError`` when no versions fit together.
    """
    if not is_locked(root, top):
        return Lock.ABSENT, ""
    uv = find_uv(service)
    if uv is None:
        return Lock.STALE, "there is no uv here"
    done = run([uv, "lock"], root)
    if done.code == 0:
        return Lock.RENEWED, ""
    if any(sign in done.output.lower() for sign in NO_NETWORK):
        return Lock.STALE, "the package index cannot be reached"
    raise UpdateError(
        "the dependencies of the service and of the chassis do not fit together, so the service is as it was:"
        " change yours in pyproject.toml and run this again",
        output=tail(done),
    )


def is_locked(root: Path, top: Path) -> bool:
    """Tell whether a lock is committed, beside the service or in a folder above."""
    folders = (root, *(folder for folder in root.parents if folder.is_relative_to(top)))
    return any(_is_committed(folder / "uv.lock") for folder in folders)


def format_files(root: Path, files: Sequence[str]) -> None:
    """Format the Python files among these, if there is a formatter. What it refuses is left as it is."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    python = [file for file in files if file.endswith(".py")]
    if ruff and python:
        run([ruff, "format", "--quiet", "--", *python], root)


def test(root: Path, service: Path, *, stale_lock: bool) -> Completed | None:
    """Run ``make test``; ``None`` if the service has no such target."""
    if not (root / "Makefile").is_file() or shutil.which("make") is None:
        return None
    uv = find_uv(service)
    # The Makefile quotes PYTHON. It cannot quote UV, which it looks for in a list.
    own = shlex.quote(str(uv.resolve())) if uv else ""
    given = {"PYTHON": sys.executable, **({"UV": own} if own else {})}
    tools = [f"{name}={value.replace('$', '$$')}" for name, value in given.items()]
    command = ["make", "--no-print-directory", *tools, "test"]
    # A stale lock is what can be installed; without this, uv would try to renew it, and fail.
    done = run(command, root, environ={"UV_FROZEN": "1"} if stale_lock else {})
    return None if "No rule to make target 'test'" in done.stderr else done


def tail(done: Completed) -> str:
    """Return the last lines that a program printed."""
    return "\n".join(done.output.splitlines()[-TAIL_LINES:])


def _is_committed(file: Path) -> bool:
    return file.is_file() and attempt(file.parent, "ls-files", "--error-unmatch", file.name).code == 0
