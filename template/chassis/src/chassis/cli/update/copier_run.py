"""Copier, in the one version that updates were tested with."""

import importlib.metadata
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from chassis.cli.update import git
from chassis.cli.update.errors import UpdateError
from chassis.cli.update.process import Running, run
from chassis.cli.uv import find_uv

__all__ = ["PIN", "render", "updating"]

PIN = "9.19.1"


def render(clone: Path, commit: str, answers: Path, directory: Path, *, service: Path) -> None:
    """Render a version of the template anew, with the answers in a file. Raises ``UpdateError``.

    ``service`` is the folder whose own uv fetches Copier if neither is installed on this machine.
    """
    options = ("--quiet", "--defaults", "--data-file", answers, "--vcs-ref", commit)
    command: list[str | Path] = ["copy", *options, clone, directory]
    with _copier(command, directory.parent, service, temporary=directory.parent) as running:
        done = running.wait()
    if done.code != 0:
        raise UpdateError(f"Copier could not render version {commit} of the template", output=done.output)


@contextmanager
def updating(
    tree: Path, commit: str, data: Mapping[str, str], *, trust: bool, service: Path, temporary: Path
) -> Iterator[Callable[[], str]]:
    """Update a service in its second tree, beside the block.

    The block gets what waits for the end, and returns what the migrations printed or raises ``UpdateError``.
    ``service`` is its own folder, as for ``render``; ``temporary`` is one for what Copier leaves when it is
    killed. Conflicts are no failure here: look for them after.
    """
    options = ["--quiet", "--defaults", "--skip-answered", "--conflict", "inline", "--vcs-ref", commit]
    options += ["--trust"] if trust else []
    options += [part for name, value in data.items() for part in ("--data", f"{name}={value}")]
    with _copier(["update", *options, "."], tree, service, temporary=temporary) as running:

        def finish() -> str:
            done = running.wait()
            if done.code != 0:
                raise UpdateError(f"Copier could not update to version {commit}", output=done.output)
            return done.output

        yield finish


def _copier(arguments: Sequence[str | Path], directory: Path, service: Path, *, temporary: Path) -> Running:
    program = _program(service)
    if program is None:
        raise UpdateError(
            f"Copier {PIN} is needed: install uv, which fetches it, or pip install copier=={PIN}"
        )
    return Running([*program, *arguments], directory, {**git.settings(), "TMPDIR": str(temporary)})


@cache
def _program(service: Path) -> tuple[str, ...] | None:
    """Return the command: the Copier that is installed if it is the pinned one, else by uv."""
    try:
        if importlib.metadata.version("copier") == PIN:
            return (sys.executable, "-m", "copier")
    except importlib.metadata.PackageNotFoundError:
        pass
    installed = shutil.which("copier")
    if installed and run([installed, "--version"], Path()).stdout.split()[-1:] == [PIN]:
        return (str(Path(installed).absolute()),)
    uv = find_uv(service)
    return None if uv is None else (str(uv), "tool", "run", "--quiet", f"copier=={PIN}")
