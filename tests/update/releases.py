"""The template's releases in a repository of their own: those of history, the tree as it is, made-up ones.

    0.1.0, ...   every released version, found in history
    present      the tree as it is now; the newest released version if nothing changed since
    following    a made-up release that changes every file, and every place where owners write too
    last         a made-up release that takes away again what ``following`` brought, and hands a file over
    patch        a made-up patch of ``present``, made after ``following`` from the line of ``present``

Every made-up release is made by hooks/release.py, like a real one.
"""

import importlib.util
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
RENDERED = ("copier.yml", "questions", "template")
# What a release is made of: all that Copier and the release script read.
TREE = (*RENDERED, "hooks/release.py", "hooks/migrations", "CHANGELOG.md", ".gitattributes", ".gitignore")
CHANGED = "changed by the following release"
# What ``last`` leaves to the owners.
HANDED_OVER = "SECURITY.md"


@dataclass(frozen=True)
class Releases:
    """A template repository with a tag for each release."""

    repository: Path
    released: tuple[str, ...]
    present: str
    following: str
    last: str
    patch: str

    @classmethod
    def make(cls, folder: Path) -> "Releases":
        """Build the repository in a new folder."""
        if git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true":
            raise RuntimeError("the clone is shallow, so the releases are not in it: git fetch --unshallow")
        git(ROOT, "init", "--quiet", "--initial-branch=main", str(folder))
        for setting in ("user.name=Test", "user.email=test@example.com", "commit.gpgsign=false"):
            git(folder, "config", *setting.split("="))
        commits = {found.version: found.commit for found in _release_script().released_versions(ROOT)}
        released = sorted(commits, key=numbers)
        for version in released:
            _commit_release(folder, version, commits[version])
        present = _commit_tree_as_it_is(folder, released)
        if present not in commits:
            _release(folder, present, "The tree as it is.")
        following, last, patch = (next_version(present, part, by) for part, by in ((1, 1), (1, 2), (2, 1)))
        change_everything(folder)
        _release(folder, following, "Everything changed.")
        take_away(folder)
        _release(folder, last, "Something went.")
        git(folder, "checkout", "--quiet", "--detach", present)
        _edit(folder, "template/Makefile.jinja", lambda text: _second_line(text, "# patched"))
        _release(folder, patch, "A patch of the older line.")
        git(folder, "checkout", "--quiet", "-B", "main", last)
        git(folder, "gc", "--quiet")
        older = tuple(version for version in released if version != present)
        return cls(folder, older, present, following, last, patch)

    def questions(self, version: str) -> dict[str, Any]:
        """Give copier.yml as it was in a version."""
        settings: dict[str, Any] = yaml.safe_load(git(self.repository, "show", f"{version}:copier.yml"))
        return settings

    def crosses_migration(self, source: str, target: str) -> bool:
        """Say whether an update runs a migration, and so needs trust."""
        declared = [str(entry["version"]) for entry in self.questions(target).get("_migrations", [])]
        return any(numbers(source) < numbers(version) <= numbers(target) for version in declared)


def numbers(version: str) -> tuple[int, ...]:
    """Give a version as numbers, for sorting."""
    return tuple(int(part) for part in version.split("."))


def next_version(version: str, part: int, by: int = 1) -> str:
    """Raise one part of a version and begin the parts after it again."""
    parts = list(numbers(version))
    return ".".join(str(number) for number in [*parts[:part], parts[part] + by, *([0] * (2 - part))])


def _commit_release(folder: Path, version: str, commit_of_root: str) -> None:
    """Commit what a release is made of: every clone that Copier makes would else have all tests and pages too."""
    _clear(folder)
    there = git(ROOT, "ls-tree", "--name-only", commit_of_root, *TREE).split()
    packed = subprocess.run(
        ["git", "archive", commit_of_root, *there], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
    commit(folder, f"Release {version}")
    git(folder, "tag", version)


def _clear(folder: Path) -> None:
    for name in TREE:
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


def _commit_tree_as_it_is(folder: Path, released: list[str]) -> str:
    """Commit the working tree's files on top of history; returns the version that they are or will be."""
    _clear(folder)
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z", *TREE)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    commit(folder, "The tree as it is")
    newest = released[-1] if released else None
    if newest and not git(folder, "diff", "--name-only", newest, "HEAD", "--", *RENDERED, "hooks/migrations"):
        return newest
    settings = yaml.safe_load((folder / "copier.yml").read_text(encoding="utf-8"))
    planned = [str(entry["version"]) for entry in settings.get("_migrations", [])]
    return max([next_version(newest or "0.0.0", 1), *planned], key=numbers)


def change_everything(folder: Path) -> None:
    """Change each file of the template, and what owners change too: lists, settings, ignored files."""
    template = folder / "template"
    for file in sorted(template.rglob("*")):
        path = file.relative_to(template)
        if file.is_file() and path.parts[0] != "chassis" and file.suffix != ".mako":
            _edit(template, str(path), lambda text: _second_line(text, f"# {CHANGED}"))
    _edit(template, "Makefile.jinja", _before("# Yours: targets", "next: ## A new target\n\t@echo next\n\n"))
    _edit(template, "pyproject.toml.jinja", _replace('"hatchling>=1.27"', '"hatchling>=1.28"'))
    _edit(template, "pyproject.toml.jinja", _replace('">=3.11"', '">=3.11,<4"'))
    _edit(template, "pyproject.toml.jinja", _replace("[tool.chassis]\n", '[tool.chassis]\nlayout = "next"\n'))
    _edit(template, ".gitignore.jinja", _replace(".mypy_cache/\n", ".mypy_cache/\n.next_cache/\n"))
    _edit(template, "chassis/pyproject.toml", _bump_a_dependency)
    (template / ".editorconfig").unlink()
    new = {
        "chassis/src/chassis/next_release.py": '"""New in the following release."""\n',
        "src/{{package_name}}/next_release.py": '"""A seed that comes too late for services that exist."""\n',
        "deploy/next/one.yaml": "# Owned by the template: new in the following release.\n",
        "deploy/next/two.yaml": "# Owned by the template: new in the following release.\n",
    }
    for name, content in new.items():
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text(content, encoding="utf-8")
    _edit(folder, "copier.yml", _before("bundles:\n", "on_call:\n  type: str\n  default: nobody\n\n"))
    _edit(folder, "copier.yml", _replace("default: 8000", "default: 8080"))
    commit(folder, "Everything changed")


def take_away(folder: Path) -> None:
    """Delete a folder of the template, and hand a file over to the owners by excluding it."""
    shutil.rmtree(folder / "template" / "deploy" / "next")
    (folder / "template" / f"{HANDED_OVER}.jinja").unlink()
    _edit(folder, "copier.yml", _before("  # What an answer leaves out\n", f"  - /{HANDED_OVER}\n"))
    commit(folder, "Something went")


def _release(folder: Path, version: str, note: str) -> None:
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    if not re.search(r"^## Unreleased\n+(?!## )\S", text, re.MULTILINE):
        text = text.replace("## Unreleased\n", "")
        head, mark, rest = text.partition("\n## ")
        changelog.write_text(f"{head}\n## Unreleased\n\n- {note}\n{mark}{rest}", encoding="utf-8")
        commit(folder, "Note")
    _release_script().make_release(folder, version, NOW)


def _release_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "hooks" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _edit(folder: Path, name: str, change: Callable[[str], str]) -> None:
    file = folder / name
    before = file.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, f"{name} has changed its shape: {change} finds nothing to change in it"
    file.write_text(after, encoding="utf-8")


def _second_line(text: str, line: str) -> str:
    first, newline, rest = text.partition("\n")
    return f"{first}{newline}{line}\n{rest}"


def _before(mark: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(mark, new + mark, 1)


def _replace(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


def _bump_a_dependency(text: str) -> str:
    return re.sub(r'"orjson>=([\d.]+),', r'"orjson>=\1,!=3.0.0,', text, count=1)


def git(folder: Path, *arguments: str) -> str:
    """Run git without anyone's configuration."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def commit(folder: Path, message: str = "Change") -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
