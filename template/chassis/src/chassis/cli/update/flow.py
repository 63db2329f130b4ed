"""What an update does, step by step. Nothing of it is seen in the service before the last one."""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from chassis.cli.update import advice, changelog, checks, copier_run, drift, tooling
from chassis.cli.update.errors import UpdateError
from chassis.cli.update.git import git, lines
from chassis.cli.update.ownership import Owner, Ownership
from chassis.cli.update.plan import Plan, Request, make_plan
from chassis.cli.update.process import held
from chassis.cli.update.report import Report, Result
from chassis.cli.update.service import (
    ANSWERS,
    Service,
    healing,
    locking,
    require_clean,
    source_line,
    to_test,
    with_option,
    with_source_line,
)
from chassis.cli.update.worktree import Worktree, open_worktree, removal

__all__ = ["update"]


def update(service: Service, request: Request, report: Report) -> None:
    """Leave a branch with the update, or the service as it was. Raises ``UpdateError`` in the second case."""
    require_clean(service)
    with tempfile.TemporaryDirectory(prefix="chassis-template-") as folder:
        report.say("Fetching the template ...")
        plan = make_plan(service, request, Path(folder))
        report.result.current, report.result.target = plan.recorded.described, plan.commit
        if not plan.branch:
            report.result.status = "up-to-date"
            report.say(f"Up to date: this service has {plan.recorded}, the newest release is {plan.newest}.")
            return
        with open_worktree(service) as tree, ExitStack() as running:
            _Steps(service, request, report, plan, tree, running, before=Path(folder) / "before").run()


class _Update(NamedTuple):
    """Copier at work: what waits for what it says, and what is to be put back after it."""

    finish: Callable[[], str]
    base: str
    source: str


@dataclass(slots=True)
class _Steps:
    """What happens in the second tree. ``before`` is the folder of what the recorded version renders.

    To render that takes half as long as Copier's update, and neither needs the other: they run side by side.
    ``running`` ends with the update, whatever happens.
    """

    service: Service
    request: Request
    report: Report
    plan: Plan
    tree: Worktree
    running: ExitStack
    before: Path
    edits: list[drift.Edit] = field(default_factory=list)

    @property
    def result(self) -> Result:
        """What the report will tell at the end."""
        return self.report.result

    def run(self) -> None:
        if self.request.heal:
            self._compare()
            self._heal()
        update = self._begin_update()
        if not self.request.heal:
            self._compare()
        self._tell_what_comes()
        if update is not None:
            self._finish_update(update)
        if not self.tree.is_changed():
            self.result.status = "up-to-date"
            self.report.say("Nothing changes.")
            return
        self._tell_what_is_gone()
        if self.request.data:
            self._advise()
        self._lock()
        self._format()
        self.tree.commit(self._message())
        if self.request.tests:
            self._test()
        self._publish()

    def _compare(self) -> None:
        """Find what was edited by hand in the template's files, and tell it."""
        plan, root = self.plan, self.service.root
        self.report.say(f"Comparing the template's files with version {plan.recorded} ...")
        copier_run.render(
            plan.template.clone, plan.recorded.described, root / ANSWERS, self.before, service=root
        )
        self.edits = drift.find_edits(root, self.before, Ownership.read(self.before))
        self.report.edits(self.edits, "" if self.request.heal else healing(root))

    def _heal(self) -> None:
        """Restore what was edited, in a commit of its own."""
        if not any(edit.is_drift for edit in self.edits):
            return
        self.result.healed = drift.heal(self.tree.root, self.before, self.edits)
        self._add_ignored()
        self.tree.commit("Restore the template's files that were edited by hand\n")
        self.report.say("Restored; this undid:")
        self.report.block(self.result.healed)

    def _tell_what_comes(self) -> None:
        self.result.changelog = self.plan.changelog
        if self.plan.target is not None:
            self.report.say(f"From {self.plan.recorded} to {self.plan.target}:")
            self.report.block(self.result.changelog)

    def _begin_update(self) -> _Update | None:
        """Let Copier do its work. The answers tell it where the template is: for this run, in the clone."""
        plan, tree, answers = self.plan, self.tree, self.tree.root / ANSWERS
        if plan.target is None and not self.request.data:
            return None
        migrations = [] if plan.target is None else plan.template.migrations(plan.recorded, plan.target)
        self.result.migrations = migrations
        if migrations:
            names = ", ".join(migrations)
            self.report.say(f"The template's migrations run with your rights (copier --trust): {names}")
        base, text = tree.head(), answers.read_text(encoding="utf-8")
        clone = f"_src_path: {json.dumps(str(plan.template.clone))}"
        answers.write_text(with_source_line(text, clone), encoding="utf-8")
        tree.commit("Read the template from a clone\n", signed=False)
        finish = self.running.enter_context(
            copier_run.updating(
                tree.root,
                plan.commit,
                self.request.data,
                trust=bool(migrations),
                service=self.service.root,
                temporary=self.before.parent,
            )
        )
        return _Update(finish, base, source_line(text))

    def _finish_update(self, update: _Update) -> None:
        self.report.say("Updating ...")
        said = update.finish()
        if self.result.migrations and said:
            self.result.reports = said
            self.report.say("The migrations report:")
            self.report.block(said)
        self.tree.step_back(update.base)
        answers = self.tree.root / ANSWERS
        updated = answers.read_text(encoding="utf-8")
        answers.write_text(with_source_line(updated, update.source), encoding="utf-8")
        self._add_ignored()
        self._require_merged()

    def _add_ignored(self) -> None:
        """Take the template's files also where the owner's ``.gitignore`` names them: the tests see them too."""
        root, ownership = self.tree.root, Ownership.read(self.tree.root)
        ignored = lines(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard")
        mine = [
            path
            for path in ignored
            if ownership.owner(path) is Owner.TEMPLATE and not path.endswith((".pyc", ".rej"))
        ]
        if mine:
            git(root, "add", "--force", "--", *mine)

    def _require_merged(self) -> None:
        """Stop when Copier left something for a person to decide."""
        files = tuple(checks.unmerged(self.tree.top, self.tree.base))
        if files:
            self.result.status = "unmerged"
            edited = {(self.service.folder / edit.path).as_posix() for edit in self.edits if edit.is_drift}
            heals = not self.request.heal and edited & set(files)
            restore = f"{healing(self.service.root)} restores what was edited in the template's files, "
            keep = with_option(self.service.root, "--keep")
            locked = tooling.is_locked(self.tree.root, self.tree.top)
            raise self._stop(
                "these files have conflicts",
                f"{restore if heals else ''}{keep} lets you solve them by hand",
                steps=("solve them", *([locking(self.service.root)] if locked else [])),
                files=files,
            )

    def _tell_what_is_gone(self) -> None:
        for edit in self.edits:
            if edit.state is drift.State.EDITED and not (self.tree.root / edit.path).exists():
                path = (self.service.folder / edit.path).as_posix()
                self.report.note(
                    f"{edit.path} is not the template's any more. What you wrote there: git show HEAD:{path}"
                )

    def _advise(self) -> None:
        """Tell what a changed answer asks of the owner."""
        if self.plan.target is None and self.request.data and self.plan.newest > self.plan.recorded.release:
            self.report.note(f"The version stays {self.plan.recorded}; {self.plan.newest} is there too.")
        before, after = (self.before.parent / name for name in ("old-answers", "new-answers"))
        for answers, folder in ((self.service.root, before), (self.tree.root, after)):
            copier_run.render(
                self.plan.template.clone,
                self.plan.commit,
                answers / ANSWERS,
                folder,
                service=self.service.root,
            )
        package = str(self.service.answers.get("package_name", ""))
        for text in advice.advise(before, after, package, self.tree.root):
            self.report.note("Still to change by hand, as a service rendered now would have it:", text)
        tracked = lines(self.tree.root, "ls-files", "-z")
        lost = advice.pointing_at_nothing(before, after, Ownership.read(after), self.tree.root, tracked)
        if lost:
            self.report.note("Yours, kept, and without a purpose now; delete or change:", "\n".join(lost))

    def _lock(self) -> None:
        self.report.say("Locking ...")
        state, reason = tooling.lock(self.tree.root, self.tree.top, self.service.root)
        self.result.lock = state
        if state is tooling.Lock.STALE:
            command = locking(self.service.root)
            self.report.note(f"uv.lock is stale, because {reason}: run {command} on the branch.")

    def _format(self) -> None:
        """Format what changed and is not the template's: migrations may have changed your code."""
        ownership = Ownership.read(self.tree.root)
        arguments = ("-z", "--cached", "--relative", "--name-only", "--diff-filter=d")
        changed = lines(self.tree.root, "diff", *arguments, self.tree.base)
        own = [path for path in changed if ownership.owner(path) is not Owner.TEMPLATE]
        tooling.format_files(self.tree.root, own)

    def _test(self) -> None:
        self.report.say("Running the tests ...")
        done = tooling.test(
            self.tree.root, self.service.root, stale_lock=self.result.lock == tooling.Lock.STALE
        )
        if done is None:
            self.report.note("There is no make target test here: the tests were not run.")
            return
        self.result.tests = "passed" if done.code == 0 else "failed"
        if done.code != 0:
            keep, skip = (with_option(self.service.root, option) for option in ("--keep", "--no-tests"))
            raise self._stop(
                "the tests fail after the update",
                f"{keep} lets you repair it on the branch, {skip} skips them",
                steps=("repair it",),
                output=tooling.tail(done),
            )

    def _stop(
        self,
        what: str,
        advice: str,
        *,
        steps: Sequence[str],
        output: str = "",
        files: tuple[str, ...] = (),
    ) -> UpdateError:
        """Return the error to raise, after keeping the second tree for its owner if that is asked for."""
        if not self.request.keep:
            return UpdateError(f"{what}, so nothing was changed: {advice}", output=output, files=files)
        tree, branch = self.tree, self.plan.branch
        with held():
            tree.keep(branch, self.plan.taken)
            self.result.branch, self.result.worktree = branch, str(tree.top)
        return UpdateError(
            f"{what}; the branch {branch} is kept in {tree.root}: finish it there ({', '.join(steps)},"
            f" {to_test(self.service.root)}, git add --all && git commit), then {removal(tree.top)}",
            output=output,
            files=files,
        )

    def _publish(self) -> None:
        branch = self.plan.branch
        with held():
            self.tree.publish(branch, self.plan.taken)
            self.result.status, self.result.branch = "updated", branch
        self.report.say(f"The branch {branch} is ready. Look at it, then take it or push it:")
        self.report.block(f"git diff HEAD...{branch}\ngit merge {branch}\ngit push origin {branch}")

    def _message(self) -> str:
        """Return the message of the commit: what changed, as the CHANGELOG tells it."""
        answers = ", ".join(f"{name} = {value}" for name, value in self.request.data.items())
        if self.plan.target is None:
            return f"Change the answers: {answers}\n"
        title = f"Update the chassis from {self.plan.recorded} to {self.plan.target}"
        reports = f"The migrations report:\n\n{self.result.reports}" if self.result.reports else ""
        parts = [
            title,
            f"Answers: {answers}" if answers else "",
            changelog.plain(self.result.changelog),
            reports,
        ]
        return "\n\n".join(part for part in parts if part) + "\n"
