"""The template, as a bare clone of its own: asked once for everything, with or without a network."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import attempt, git
from chassis.cli.update.versions import Recorded, Version

__all__ = ["Template", "address", "fetch", "tags_of"]

SHORTCUTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
# Said, since some have forbidden git to find a bare repository by itself (safe.bareRepository).
BARE = ("--git-dir", ".")
MOVED = (
    "without a network, name a clone or a bundle file with --template; if the template moved, write its new"
    " address to _src_path in .copier-answers.yml and commit"
)


class Template:
    """A clone of the template; every question is about one commit of it."""

    def __init__(self, clone: Path) -> None:
        self.clone = clone

    def tags(self) -> list[str]:
        """All tags, of releases and others."""
        return git(self.clone, *BARE, "tag", "--list").split()

    def describe(self, commit: str) -> str:
        """Return a recorded commit in git's words; as it is, where no release comes before it.

        Raises ``UpdateError`` if this clone does not have it.
        """
        if attempt(self.clone, *BARE, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").code != 0:
            raise UpdateError(
                f"the template has no commit {commit}, which this service was rendered from:"
                " its tag was removed, the clone is too old or shallow (git fetch --unshallow --tags),"
                " or it was rendered from files that were not committed"
            )
        if Recorded.parse(commit) is not None:
            return commit
        done = attempt(self.clone, *BARE, "describe", "--tags", "--match", "[0-9]*.[0-9]*.[0-9]*", commit)
        found = Recorded.parse(done.stdout.strip())
        return commit if found is None else found.described

    def recorded(self, commit: str) -> Recorded:
        """Return what a service was rendered from. Raises ``UpdateError`` if that is here after no release."""
        found = Recorded.parse(self.describe(commit))
        if found is None:
            raise UpdateError(
                f"the commit {commit} comes before the first release that the template has a tag of:"
                " bring its tags there (git fetch --tags), or render the service again"
            )
        return found

    def changelog(self, version: Version) -> str:
        """Return the whole CHANGELOG of a release; empty if it has none."""
        return self._file(str(version), "CHANGELOG.md")

    def migrations(self, after: Recorded, upto: Version) -> list[str]:
        """Return the migrations that an update runs, by their version; ``every update`` for one without.

        Copier asks for trust when there is one, and for no other update of a template without tasks.
        """
        found = []
        for migration in self._settings(upto).get("_migrations") or []:
            named = migration.get("version") if isinstance(migration, dict) else None
            version = None if named is None else Version.parse(str(named))
            if named is None:
                found.append("every update")
            elif version is not None and after.release < version <= upto:
                found.append(str(version))
        return found

    def _settings(self, version: Version) -> Mapping[str, Any]:
        for name in ("copier.yml", "copier.yaml"):
            if content := self._file(str(version), name):
                settings = yaml.safe_load(content)
                return settings if isinstance(settings, dict) else {}
        return {}

    def _file(self, commit: str, path: str) -> str:
        done = attempt(self.clone, *BARE, "show", f"{commit}:{path}")
        return done.stdout if done.code == 0 else ""


def fetch(source: str, directory: Path) -> Template:
    """Clone the template into a directory. Raises ``UpdateError`` if it cannot be reached."""
    # The suffix tells Copier that it is a repository, though it has no files checked out.
    clone = directory / "template.git"
    done = attempt(directory, "clone", "--quiet", "--mirror", "--", address(source), clone)
    if done.code != 0:
        raise UpdateError(
            f"the template cannot be fetched from {masked(source)}: {MOVED}", output=masked(done.output)
        )
    return Template(clone)


def tags_of(source: str, directory: Path) -> list[str]:
    """Return the tags of the template without a clone. Raises ``UpdateError`` if it cannot be reached."""
    done = attempt(directory, "ls-remote", "--tags", "--refs", "--", address(source))
    if done.code != 0:
        raise UpdateError(
            f"the template cannot be reached at {masked(source)}: {MOVED}", output=masked(done.output)
        )
    return [line.partition("refs/tags/")[2] for line in done.stdout.splitlines()]


def address(source: str) -> str:
    """Return the address that git understands: Copier's shortcuts written out, local paths absolute."""
    for shortcut, meaning in SHORTCUTS.items():
        if source.startswith(shortcut):
            path = source.removeprefix(shortcut).removeprefix("/").removesuffix(".git")
            return f"{meaning}{path}.git"
    if source.startswith("git+"):
        return source.removeprefix("git+")
    local = Path(source).expanduser()
    return str(local.resolve()) if local.exists() else source


def masked(text: str) -> str:
    """Return a text without the user and password of the addresses in it."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)
