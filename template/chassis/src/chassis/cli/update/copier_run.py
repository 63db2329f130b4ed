"""Copier, in the one version that updates were tested with."""

import importlib.metadata
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.process import Completed, run

__all__ = ["PIN", "find_uv", "render", "update"]

PIN = "9.19.1"


def render(clone: Path, commit: str, answers: Path, directory: Path) -> None:
    """Render a version of the template anew, with the answers in a file. Raises ``UpdateError``."""
    options = ("--quiet", "--defaults", "--data-file", answers, "--vcs-ref", commit)
    done = _copier(["copy", *options, clone, directory], directory.parent)
    if done.code != 0:
        raise UpdateError(f"Copier could not render version {commit} of the template", output=done.output)


def update(service: Path, commit: str, data: Mapping[str, str], *, trust: bool) -> str:
    """Update a service; return what the template's migrations printed. Raises ``UpdateError``.

    Conflicts are no failure here: look for them after.
    """
    options = ["--quiet", "--defaults", "--skip-answered", "--conflict", "inline", "--vcs-ref", commit]
    options += ["--trust"] if trust else []
    options += [part for name, value in data.items() for part in ("--data", f"{name}={value}")]
    done = _copier(["update", *options, "."], service)
    if done.code != 0:
        raise UpdateError(f"Copier could not update to version {commit}", output=done.output)
    return done.output


def find_uv(service: Path) -> Path | None:
    """Return uv: from the PATH, beside this Python, or where the Makefile of a service puts it."""
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    own = service / ".uv" / "bin" / "uv"
    return Path(found) if found else own if own.exists() else None


def _copier(arguments: Sequence[str | Path], directory: Path) -> Completed:
    program = _program()
    if program is None:
        raise UpdateError(
            f"Copier {PIN} is needed: install uv, which fetches it, or pip install copier=={PIN}"
        )
    return run([*program, *arguments], directory)


@cache
def _program() -> tuple[str, ...] | None:
    """Return the command: the Copier that is installed if it is the pinned one, else by uv."""
    try:
        if importlib.metadata.version("copier") == PIN:
            return (sys.executable, "-m", "copier")
    except importlib.metadata.PackageNotFoundError:
        pass
    installed = shutil.which("copier")
    if installed and run([installed, "--version"], Path()).stdout.split()[-1:] == [PIN]:
        return (installed,)
    uv = find_uv(Path())
    return None if uv is None else (str(uv), "tool", "run", "--quiet", f"copier=={PIN}")
