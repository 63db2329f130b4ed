"""What is to be done: from which version of the template to which, and on which branch."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chassis.cli.update import changelog
from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import attempt
from chassis.cli.update.report import Report
from chassis.cli.update.service import Service
from chassis.cli.update.template import Template, fetch, tags_of
from chassis.cli.update.versions import Recorded, Version, newest
from chassis.cli.update.worktree import checked_out, commit_of, removal

__all__ = ["Plan", "Request", "check", "make_plan"]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. Without ``to`` it is the newest release, or with ``data`` the one that is there."""

    to: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    heal: bool = False
    keep: bool = False
    tests: bool = True
    template: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """From where to where. Without a ``target`` the version stays; without a ``branch`` everything does."""

    template: Template
    recorded: Recorded
    newest: Version
    target: Version | None
    branch: str
    # What the branch is at before: it was taken, and its name is free.
    taken: str = ""

    @property
    def commit(self) -> str:
        """The version that the service has afterwards."""
        return self.recorded.described if self.target is None else str(self.target)

    @property
    def changelog(self) -> str:
        """What the CHANGELOG says between the two versions."""
        if self.target is None:
            return ""
        return changelog.between(self.template.changelog(self.target), self.recorded.release, self.target)


def make_plan(service: Service, request: Request, folder: Path) -> Plan:
    """Fetch the template into a folder and decide. Raises ``UpdateError`` if what is asked for cannot be."""
    template = fetch(request.template or service.source, folder)
    recorded = template.recorded(service.commit)
    release = _choose(template.tags(), request.to)
    if request.to and release < recorded.release:
        raise UpdateError(f"this service has {recorded}: it cannot go back to {release}")
    stays = not recorded.release < release or (request.data and not request.to)
    target = None if stays else release
    branch = _branch(service, request, recorded, target)
    taken = _require_new(service, branch) if branch else ""
    return Plan(template, recorded, release, target, branch, taken)


def check(service: Service, request: Request, report: Report) -> bool:
    """Tell whether there is a newer release, and what it brings. Returns whether there is."""
    source = request.template or service.source
    with tempfile.TemporaryDirectory(prefix="chassis-template-") as folder:
        target = _choose(tags_of(source, Path(folder)), request.to)
        recorded, template = Recorded.parse(service.commit), None
        if recorded is None or recorded.release < target:
            template = fetch(source, Path(folder))
            recorded = template.recorded(service.commit)
        report.result.current, report.result.target = str(recorded), str(target)
        if template is None or not recorded.release < target:
            report.result.status = "up-to-date"
            report.say(f"Up to date: this service has {recorded}, the newest release is {target}.")
            return False
        report.result.status = "behind"
        report.result.changelog = Plan(template, recorded, target, target, "").changelog
        report.say(f"Behind: this service has {recorded}, the newest release is {target}. It brings:")
        report.block(report.result.changelog)
        return True


def _choose(tags: list[str], wanted: str) -> Version:
    """Choose the release. Raises ``UpdateError`` if there is none such."""
    found = newest(tags, wanted)
    if found is None:
        known = sorted(version for tag in tags if (version := Version.parse(tag)))[-5:]
        what = f"no release {wanted}" if wanted else "no release: its tags are fetched with git fetch --tags"
        there = f"; there are {', '.join(map(str, known))}" if known else ""
        raise UpdateError(f"the template has {what}{there}")
    return found


def _branch(service: Service, request: Request, recorded: Recorded, target: Version | None) -> str:
    """Name the branch; empty when there is nothing to do. A service in a folder adds the folder's name."""
    folder = service.folder.as_posix()
    place = "" if folder == "." else f"-{_within_a_branch(folder)}"
    if target is not None:
        return f"chassis-update-{target}{place}"
    if request.data:
        return f"chassis-answers-{_within_a_branch('-'.join(sorted(request.data)))}{place}"
    return f"chassis-heal-{recorded}{place}" if request.heal else ""


def _within_a_branch(name: str) -> str:
    """Return a name without what git does not allow in that of a branch; letters of any language are allowed."""
    return re.sub(r"[^\w.-]+|\.(?=[.-]|lock\b|$)", "-", name)


def _require_new(service: Service, branch: str) -> str:
    """Refuse to make a branch twice, unless it was taken: then its name is free, and what it is at returned."""
    there = commit_of(service.repository, branch)
    if not there:
        return ""
    tree = checked_out(service.repository, branch)
    taken = attempt(service.repository, "merge-base", "--is-ancestor", f"refs/heads/{branch}", "HEAD")
    if tree is None and taken.code == 0:
        return there
    drop = f"git branch -D {branch}"
    if tree is None:
        ways = f"take it (git merge {branch}) or drop it ({drop})"
    else:
        drop = f"{removal(tree)} && {drop}"
        ways = f"finish it in {tree} (git add --all && git commit), or drop it ({drop})"
    raise UpdateError(f"the branch {branch} exists already: {ways}, then run this again")
