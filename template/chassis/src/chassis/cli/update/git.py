"""Git, as far as an update needs it. Its hooks never run: they are meant for people."""

import os
from pathlib import Path

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.process import Completed, run

__all__ = ["attempt", "git", "lines", "settings"]

HOOKS = ("core.hooksPath", os.devnull)
# What some have in their own configuration, and Copier does not expect.
CONFIGURED = (
    HOOKS,
    # With "error", Copier loses in silence what it cannot apply; "fix" changes lines of the owner.
    ("apply.whitespace", "nowarn"),
    # It reads names as git quotes them.
    ("core.quotePath", "true"),
    # It finds what it could not apply among the untracked files.
    ("status.showUntrackedFiles", "normal"),
    # It compares commits of renders: what they leave out, or hold to be binary, it loses in silence.
    ("core.excludesFile", os.devnull),
    ("core.attributesFile", os.devnull),
)
# The same in the environment; the folder of templates may have an info/exclude.
VARIABLES = {"GIT_DIFF_OPTS": "", "GIT_TEMPLATE_DIR": ""}


def git(directory: Path, *arguments: str | Path, text: str = "") -> str:
    """Return what git prints. Raises ``UpdateError`` if it fails."""
    done = attempt(directory, *arguments, text=text)
    if done.code != 0:
        raise UpdateError(f"git {arguments[0]} failed", output=done.output)
    return done.stdout


def lines(directory: Path, *arguments: str | Path) -> list[str]:
    """Return the parts of what git prints with ``-z``: paths of any name, none quoted."""
    return [part for part in git(directory, *arguments).split("\0") if part]


def attempt(directory: Path, *arguments: str | Path, text: str = "") -> Completed:
    """Run git and leave it to the caller what a failure means. Raises ``UpdateError`` without git."""
    try:
        return run(["git", "-c", "=".join(HOOKS), *arguments], directory, text=text)
    except FileNotFoundError as error:
        raise UpdateError("git is not installed: install it and run this again") from error


def settings() -> dict[str, str]:
    """Return the environment that sets up the git inside another program, whatever its user has configured."""
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    environ = {**VARIABLES, "GIT_CONFIG_COUNT": str(first + len(CONFIGURED))}
    for number, (key, value) in enumerate(CONFIGURED, first):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environ
