"""Make a release: check the tree, bump the version, record the digest, commit and tag.

    python hooks/release.py 0.2.0

A release is one commit. It gives the chassis its version and moment, records its digest in
``template/chassis/releases.json``, and turns the section "Unreleased" of CHANGELOG.md into that of the
version. Its tag is the bare version. A wrong state is refused with the reason, and nothing is changed.

Standard library only: it runs before anything is installed.
"""

import argparse
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

__all__ = ["Refused", "Release", "make_release", "released_versions", "tag_again"]

PACKAGE = "template/chassis/src/chassis"
RELEASE_MODULE = f"{PACKAGE}/release.py"
PROJECT_FILE = "template/chassis/pyproject.toml"
RECORD = "template/chassis/releases.json"
CHANGELOG = "CHANGELOG.md"

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
UNRELEASED = re.compile(r"^## Unreleased\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class Refused(Exception):  # noqa: N818 - it reads as what happened: the release was refused
    """The release cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Release:
    """One released version and the commit that made it."""

    version: str
    commit: str


def released_versions(repository: Path) -> list[Release]:
    """Return every release in the order made, read from history alone: a clone may have no tags.

    A version's release is the first commit, over all branches and tags, whose record names it.
    """
    found: dict[str, Release] = {}
    commits = _git(
        repository, "log", "--all", "HEAD", "--reverse", "--topo-order", "--format=%H", "--", RECORD
    )
    for commit in commits.split():
        content = _git(repository, "show", f"{commit}:{RECORD}", missing="")
        if not content:
            continue
        for entry in json.loads(content)["releases"]:
            found.setdefault(entry["version"], Release(entry["version"], commit))
    return list(found.values())


def make_release(repository: Path, version: str, now: datetime) -> Release:
    """Check everything, then write, commit and tag. Raises ``Refused`` before anything is changed."""
    numbers = _numbers(version)
    if _git(repository, "status", "--porcelain"):
        raise Refused("the tree has uncommitted changes: commit or remove them first")
    if _git(repository, "tag", "--list", version):
        raise Refused(f"the tag {version} exists: a release is never made twice")
    record = _read_record(repository)
    newest = record["releases"][-1]["version"] if record["releases"] else None
    if newest is not None and numbers <= _numbers(newest):
        raise Refused(f"{version} does not come after {newest}, the newest release on this line")
    changelog = repository / CHANGELOG
    entry = UNRELEASED.search(changelog.read_text(encoding="utf-8"))
    if entry is None or not entry["text"].strip():
        raise Refused(
            f'{CHANGELOG} has no text under "## Unreleased": tell the owners of services what changes'
        )

    _git(repository, "var", "GIT_COMMITTER_IDENT")
    moment = now.astimezone(UTC).replace(microsecond=0)
    texts: dict[Path, str] = {}
    for path, pattern, line in (
        (PROJECT_FILE, r'^version = ".*"$', f'version = "{version}"'),
        (RELEASE_MODULE, r'^VERSION = ".*"$', f'VERSION = "{version}"'),
        (RELEASE_MODULE, r"^RELEASED_AT = .*$", f"RELEASED_AT = {_datetime_source(moment)}"),
        (CHANGELOG, r"^## Unreleased$", f"## {version} ({moment.date().isoformat()})"),
    ):
        file = repository / path
        texts[file] = _with_line(file, texts.get(file) or file.read_text(encoding="utf-8"), pattern, line)
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    _write_record(repository, record, version, moment)

    _git(repository, "add", "--", PROJECT_FILE, RELEASE_MODULE, CHANGELOG, RECORD)
    _git(repository, "commit", "--quiet", "--message", f"Release {version}")
    _git(repository, "tag", "--annotate", version, "--message", f"Release {version}")
    return Release(version, _git(repository, "rev-parse", "HEAD").strip())


def tag_again(repository: Path, made: Release) -> list[str]:
    """Tag the earlier releases where a clone has none of their tags; return their versions.

    Services were rendered from commits after them. Without a tag neither Copier nor ``make update`` can tell
    what such a service has. A clone that has one of the tags is left alone: the others were removed.
    """
    tags = _git(repository, "tag", "--list").split()
    if any(VERSION.fullmatch(tag) for tag in tags if tag != made.version):
        return []
    earlier = [release for release in released_versions(repository) if release.version != made.version]
    for release in earlier:
        message = f"Release {release.version}"
        _git(repository, "tag", "--annotate", release.version, release.commit, "--message", message)
    return [release.version for release in earlier]


def _write_record(
    repository: Path, record: dict[str, list[dict[str, str]]], version: str, moment: datetime
) -> None:
    """Record the digest of the package as it is now, and the hash of each of its files."""
    package = repository / PACKAGE
    digest: Callable[[Path], str] = runpy.run_path(str(repository / RELEASE_MODULE))["digest"]
    tracked = _git(repository, "ls-files", "--", PACKAGE).splitlines()
    files = {
        Path(name).relative_to(PACKAGE).as_posix(): sha256((repository / name).read_bytes()).hexdigest()
        for name in sorted(tracked)
    }
    released_at = moment.isoformat().replace("+00:00", "Z")
    content = {
        "releases": [
            *record["releases"],
            {"version": version, "released_at": released_at, "digest": digest(package)},
        ],
        "files": files,
    }
    (repository / RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_record(repository: Path) -> dict[str, list[dict[str, str]]]:
    path = repository / RECORD
    if not path.exists():
        return {"releases": []}
    record: dict[str, list[dict[str, str]]] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _numbers(version: str) -> tuple[int, ...]:
    if not (match := VERSION.fullmatch(version)):
        raise Refused(f"{version!r} is no version: write it as X.Y.Z")
    return tuple(int(part) for part in match.groups())


def _datetime_source(moment: datetime) -> str:
    parts = ", ".join(str(part) for part in moment.timetuple()[:6])
    return f"datetime({parts}, tzinfo=UTC)"


def _with_line(file: Path, text: str, pattern: str, line: str) -> str:
    changed, count = re.subn(pattern, line, text, count=1, flags=re.MULTILINE)
    if count != 1:
        raise Refused(f"{file.name} has no line that matches {pattern}: restore it")
    return changed


def _git(repository: Path, *arguments: str, missing: str | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607 - the git of whoever makes the release
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    if missing is not None:
        return missing
    raise Refused(f"git {arguments[0]} failed: {done.stderr.strip()}")


def main() -> int:
    """Make the release that the command line names; 1 and one sentence when it is refused."""
    parser = argparse.ArgumentParser(description="Release the chassis.")
    parser.add_argument("version", help="X.Y.Z, after the newest release")
    version = parser.parse_args().version
    try:
        repository = Path(__file__).parents[1]
        release = make_release(repository, version, datetime.now(UTC))
        again = tag_again(repository, release)
    except Refused as reason:
        sys.stderr.write(f"Not released: {reason}.\n")
        return 1
    if again:
        sys.stdout.write(f"Tagged again, since no tag of them was here: {', '.join(again)}.\n")
    sys.stdout.write(
        f"Released {release.version} as {release.commit[:12]}. Publish: git push --follow-tags\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
