"""An update leaves a branch, or the service exactly as it was."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.flow import update
from chassis.cli.update.plan import Request, check
from chassis.cli.update.process import stoppable
from chassis.cli.update.report import Report, Result
from chassis.cli.update.service import find

Git = Callable[..., str]
Run = Callable[..., Result]

BRANCH = "chassis-update-0.2.0"


@pytest.fixture
def run(service: Path, copier: Any) -> Run:
    """Update the service; the result is also there when it fails."""

    def run(folder: Path = service, result: Result | None = None, **request: Any) -> Result:
        report = Report(as_json=False)
        report.result = result or report.result
        update(find(folder), Request(**request), report)
        return report.result

    return run


@pytest.fixture
def state(service: Path, git: Git, tmp_path: Path) -> Callable[[], object]:
    """Everything of the service and its repository that an update could change, and what it could leave."""

    def state() -> object:
        files = {
            file: file.read_bytes()
            for file in service.rglob("*")
            if file.is_file() and ".git" not in file.relative_to(service).parts
        }
        about = [
            git(service, "worktree", "list"),
            git(service, "branch", "--list"),
            git(service, "status", "--porcelain"),
        ]
        return files, about, git(service, "rev-parse", "HEAD"), sorted((tmp_path / "tmp").iterdir())

    return state


def test_a_branch_with_the_new_version_and_nothing_else(
    run: Run, service: Path, git: Git, state: Callable[[], Any]
) -> None:
    files, _, head, left = state()
    result = run()
    assert (result.status, result.branch, result.current, result.target) == (
        "updated",
        BRANCH,
        "0.1.0",
        "0.2.0",
    )
    assert (result.tests, result.lock, result.healed, result.notes) == ("passed", "absent", "", [])
    assert state()[0] == files
    assert state()[2:] == (head, left)
    assert git(service, "diff", "--name-only", f"HEAD...{BRANCH}").split() == [
        ".copier-answers.yml",
        "Makefile",
        "chassis/src/chassis/added.py",
        "chassis/src/chassis/release.py",
    ]
    assert git(service, "log", "--format=%B", f"HEAD..{BRANCH}").strip() == (
        "Update the chassis from 0.1.0 to 0.2.0\n\n0.2.0 (2026-11-02)\n\n- The `second`."
    )


def test_the_address_of_the_template_stays(
    run: Run, service: Path, git: Git, template: Path, copier: Any
) -> None:
    template.rename(template.with_name("elsewhere"))
    run(template=str(template.with_name("elsewhere")))
    answers = git(service, "show", f"{BRANCH}:.copier-answers.yml")
    assert answers == f"# Not yours\n_commit: 0.2.0\n_src_path: {template}\npackage_name: orders\n"
    assert copier.calls[0]["trust"] is False


def test_every_step_is_told_the_edited_files_first(run: Run, service: Path, commit: Any, capsys: Any) -> None:
    (service / "Makefile").write_text("test:\n\t@true\n")
    (service / "SECURITY.md").unlink()
    commit(service)
    result = run()
    assert [edit["path"] for edit in result.edits] == ["Makefile", "SECURITY.md"]
    told = capsys.readouterr().out
    order = [
        "Edited by hand",
        "service.mk",
        "deleted by you",
        "- The `second`.",
        "Updating",
        "tests ...",
        f"git merge {BRANCH}",
    ]
    assert [told.index(text) for text in order] == sorted(told.index(text) for text in order)


def test_nothing_to_do(run: Run, service: Path, git: Git) -> None:
    run()
    git(service, "merge", "--quiet", BRANCH)
    assert run().status == "up-to-date"
    assert run(to="0.2").status == "up-to-date"
    with pytest.raises(UpdateError, match=r"cannot go back to 0\.1\.0"):
        run(to="0.1.0")
    with pytest.raises(UpdateError, match=r"no release 0\.3; there are 0\.1\.0, 0\.2\.0"):
        run(to="0.3")


def test_a_template_without_releases(run: Run, service: Path, template: Path, git: Git) -> None:
    git(template, "tag", "--delete", "0.2.0")
    git(template, "tag", "first", "0.1.0")
    git(template, "tag", "--delete", "0.1.0")
    with pytest.raises(UpdateError, match=r"no commit 0\.1\.0"):
        run()
    with pytest.raises(UpdateError, match="has no release: its tags are fetched"):
        check(find(service), Request(), Report(as_json=False))


def test_a_patch_of_an_older_line_can_be_taken(
    *, run: Run, service: Path, template: Path, git: Git, commit: Any, copier: Any
) -> None:
    git(template, "switch", "--quiet", "--create", "line", "0.1.0")
    (template / "template/Makefile").write_text("test:\n\t@true # patched\n")
    commit(template)
    git(template, "tag", "0.1.1")
    assert run(to="0.1").branch == "chassis-update-0.1.1"
    assert run().branch == BRANCH


def test_of_two_branches_one_is_taken_and_the_update_is_run_again(
    *, run: Run, service: Path, git: Git, copier: Any
) -> None:
    release, answers = run(), run(data={"port": "9000"})
    assert {release.branch, answers.branch} <= set(git(service, "branch", "--list").split())
    git(service, "merge", "--quiet", answers.branch)
    git(service, "branch", "--quiet", "-D", release.branch)
    again = run()
    git(service, "merge", "--quiet", again.branch)
    recorded = (service / ".copier-answers.yml").read_text()
    assert (again.branch, again.status) == (BRANCH, "updated")
    assert "_commit: 0.2.0" in recorded
    assert "port: 9000" in recorded


def unmerged(service: Path, copier: Any) -> None:
    copier.conflict = "Makefile"


def refused(service: Path, copier: Any) -> None:
    copier.fails = "why"


def broken(service: Path, copier: Any) -> None:
    copier.during = lambda tree: (tree / "broken").touch()


def stopped(service: Path, copier: Any) -> None:
    copier.during = lambda _: os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("go_wrong", "error", "reason"),
    [
        (
            unmerged,
            UpdateError,
            "these files have conflicts, so nothing was changed: make update ARGS=--keep",
        ),
        (refused, UpdateError, "Copier could not update"),
        (broken, UpdateError, "the tests fail after the update, so nothing was changed"),
        (stopped, KeyboardInterrupt, "SIGTERM"),
    ],
)
def test_whatever_goes_wrong_the_service_is_as_it_was(
    *, run: Run, service: Path, copier: Any, state: Callable[[], Any], go_wrong: Any, error: Any, reason: str
) -> None:
    go_wrong(service, copier)
    before = state()
    with pytest.raises(error, match=reason), stoppable():
        run()
    assert state() == before
    copier.conflict, copier.fails, copier.during = "", "", lambda _: None
    assert run().status == "updated"


@pytest.mark.parametrize(
    ("heal", "order"), [(False, ["begin", "compare", "end"]), (True, ["compare", "begin", "end"])]
)
def test_copier_updates_while_the_version_before_is_rendered(
    *, run: Run, copier: Any, monkeypatch: Any, heal: bool, order: list[str]
) -> None:
    happened = []
    updating, render = copier.updating, copier.render

    def begin(*arguments: Any, **options: Any) -> Any:
        happened.append("begin")
        return updating(*arguments, **options)

    def compare(clone: Path, commit: str, *rest: Any, **options: Any) -> None:
        happened.append("compare")
        render(clone, commit, *rest, **options)

    monkeypatch.setattr("chassis.cli.update.copier_run.updating", begin)
    monkeypatch.setattr("chassis.cli.update.copier_run.render", compare)
    copier.during = lambda _: happened.append("end")
    assert run(heal=heal).status == "updated"
    assert happened == order


def test_a_conflict_names_its_files(run: Run, copier: Any) -> None:
    copier.conflict = "Makefile"
    result = Result()
    with pytest.raises(UpdateError) as raised:
        run(result=result)
    assert raised.value.files == ("Makefile",)
    assert result.status == "unmerged"


def test_a_conflict_can_be_kept_and_finished_by_hand(run: Run, service: Path, copier: Any, git: Git) -> None:
    copier.conflict = "Makefile"
    result = Result()
    told = r"is kept in .*: finish it there \(solve them, make test, git add --all && git commit\), then (.*)"
    with pytest.raises(UpdateError, match=rf"branch {BRANCH} {told}") as raised:
        run(result=result, keep=True)
    tree = Path(result.worktree)
    removal = re.search(told, str(raised.value))
    assert removal is not None
    assert "template.git" not in (tree / ".copier-answers.yml").read_text()
    with pytest.raises(UpdateError, match=r"exists already: finish it in .* or drop it"):
        run()
    git(tree, "checkout", "--quiet", "HEAD", "--", "Makefile")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "Finished")
    subprocess.run(removal[1], shell=True, cwd=service, check=True)
    assert not tree.parent.exists()
    assert "_commit: 0.2.0" in git(service, "show", f"{BRANCH}:.copier-answers.yml")
    with pytest.raises(UpdateError, match=rf"take it .git merge {BRANCH}. or drop it .git branch -D"):
        run()


def test_what_is_kept_has_also_what_git_ignores_and_the_lock_is_to_be_renewed(
    run: Run, service: Path, copier: Any, git: Git, commit: Any
) -> None:
    (service / ".gitignore").write_text("added.py\n*.rej\n")
    (service / "uv.lock").touch()
    commit(service)
    copier.conflict = "Makefile"
    copier.during = lambda tree: (tree / "chassis/src/chassis/context.py.rej").touch()
    result = Result()
    with pytest.raises(UpdateError, match=r"solve them, make lock, make test, git add") as raised:
        run(result=result, keep=True)
    assert raised.value.files == ("Makefile", "chassis/src/chassis/context.py.rej")
    git(Path(result.worktree), "add", "--all")
    kept = git(Path(result.worktree), "diff", "--cached", "--name-only", "HEAD").split()
    assert "chassis/src/chassis/added.py" in kept


def test_the_tests_find_the_files_of_submodules(
    *, run: Run, service: Path, git: Git, commit: Any, write: Any, tmp_path: Path
) -> None:
    allowed = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    for name in ("inner", "shared", "elsewhere"):
        write(tmp_path / name, {"schema é.json": "{}\n"})
        commit(tmp_path / name)
    git(tmp_path / "shared", *allowed, tmp_path / "inner", "inner")
    commit(tmp_path / "shared")
    git(service, *allowed, tmp_path / "shared", "contracts/shared")
    git(service, *allowed, tmp_path / "elsewhere")
    git(service, "-c", "protocol.file.allow=always", "submodule", "update", "--init", "--recursive")
    write(service, {"Makefile": "test:\n\tcat contracts/shared/*.json contracts/shared/inner/*.json\n"})
    commit(service)
    git(service, "submodule", "deinit", "--force", "elsewhere")
    result = run(heal=False, data={"port": "9000"})
    assert (result.status, result.tests) == ("updated", "passed")
    changed = git(service, "diff", "--name-only", f"HEAD...{result.branch}").split()
    assert changed == [".copier-answers.yml", "Makefile"]
    assert git(service, "worktree", "list").count("\n") == 1


def test_failing_tests_can_be_kept_or_skipped(run: Run, copier: Any, git: Git, service: Path) -> None:
    copier.during = lambda tree: (tree / "broken").touch()
    with pytest.raises(
        UpdateError, match=r"make update ARGS=--keep lets you .*, make update ARGS=--no-tests skips"
    ):
        run()
    result = Result()
    with pytest.raises(UpdateError, match=r"the branch .* is kept in .* \(repair it, make test, git add"):
        run(result=result, keep=True)
    assert result.tests == "failed"
    git(service, "worktree", "remove", "--force", result.worktree)
    git(service, "branch", "--quiet", "-D", BRANCH)
    assert run(tests=False).status == "updated"


def test_a_service_without_tests_is_told(run: Run, service: Path, commit: Any) -> None:
    (service / "Makefile").unlink()
    commit(service)
    assert run().notes == ["There is no make target test here: the tests were not run."]


def test_healing_restores_in_a_commit_of_its_own_and_shows_what_it_undid(
    run: Run, service: Path, git: Git, commit: Any, capsys: Any
) -> None:
    (service / "chassis/src/chassis/context.py").write_text("context = 'mine'\n")
    (service / "SECURITY.md").unlink()
    commit(service)
    result = run(heal=True)
    assert "-context = 'mine'" in result.healed.splitlines()
    assert "    -context = 'mine'" in capsys.readouterr().out.splitlines()
    titles = git(service, "log", "--format=%s", f"HEAD..{BRANCH}").splitlines()
    assert titles == [
        "Update the chassis from 0.1.0 to 0.2.0",
        "Restore the template's files that were edited by hand",
    ]
    assert git(service, "show", f"{BRANCH}:chassis/src/chassis/context.py") == "context = 1\n"
    assert "SECURITY.md" not in git(service, "ls-tree", "--name-only", BRANCH).split()


def test_healing_alone(run: Run, service: Path, git: Git, commit: Any, copier: Any) -> None:
    run()
    git(service, "merge", "--quiet", BRANCH)
    assert run(heal=True).status == "up-to-date"
    (service / "Makefile").write_text("mine:\n")
    commit(service)
    result = run(heal=True)
    assert (result.status, result.branch) == ("updated", "chassis-heal-0.2.0")
    assert git(service, "diff", "--name-only", f"HEAD...{result.branch}").split() == ["Makefile"]
    assert len(copier.calls) == 1


def test_an_edited_file_that_the_template_gives_up_is_not_lost_in_silence(
    run: Run, service: Path, commit: Any, copier: Any
) -> None:
    (service / "SECURITY.md").write_text("mine\n")
    commit(service)
    copier.during = lambda tree: (tree / "SECURITY.md").unlink()
    assert run().notes == [
        "SECURITY.md is not the template's any more. What you wrote there: git show HEAD:SECURITY.md"
    ]


def test_answers_change_alone(run: Run, service: Path, git: Git, copier: Any) -> None:
    result = run(data={"bundles": "[database]"})
    assert (result.branch, result.target) == ("chassis-answers-bundles", "0.1.0")
    assert copier.calls[0]["commit"] == "0.1.0"
    assert result.notes == ["The version stays 0.1.0; 0.2.0 is there too."]
    assert (
        git(service, "log", "-1", "--format=%s", result.branch)
        == "Change the answers: bundles = [database]\n"
    )


def test_the_name_of_a_branch_that_was_taken_is_free_again(
    run: Run, service: Path, git: Git, copier: Any
) -> None:
    first = run(data={"port": "9000"})
    with pytest.raises(UpdateError, match="exists already"):
        run(data={"port": "9001"})
    git(service, "merge", "--quiet", first.branch)
    assert run(data={"port": "9001"}).branch == first.branch
    assert "port: 9001" in git(service, "show", f"{first.branch}:.copier-answers.yml")


def test_answers_change_with_a_release(run: Run, service: Path, git: Git, copier: Any) -> None:
    result = run(data={"bundles": "[database]"}, to="0.2.0")
    assert (result.branch, copier.calls[0]["commit"]) == (BRANCH, "0.2.0")
    assert "Answers: bundles = [database]" in git(service, "log", "-1", "--format=%B", BRANCH)


def test_answers_that_are_there_already_change_nothing(run: Run, copier: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(copier, "update", lambda *_, **__: "")
    assert run(data={"package_name": "orders"}).status == "up-to-date"


def test_what_a_changed_answer_leaves_to_do_is_told(
    *, run: Run, service: Path, copier: Any, write: Any, commit: Any, monkeypatch: Any
) -> None:
    render = copier.render

    def by_answer(clone: Path, commit: str, answers: Path, directory: Path, **options: Any) -> None:
        render(clone, commit, answers, directory, **options)
        if "bundles: []" not in answers.read_text():
            write(directory, {"src/orders/app.py": "import database\n", "src/orders/models.py": "\n"})

    monkeypatch.setattr("chassis.cli.update.copier_run.render", by_answer)
    write(service, {"src/orders/models.py": "mine\n", "src/orders/app.py": "import database\n"})
    commit(service)
    notes = run(data={"bundles": "[]"}).notes
    assert [note.splitlines()[0] for note in notes] == [
        "The version stays 0.1.0; 0.2.0 is there too.",
        "Still to change by hand, as a service rendered now would have it:",
        "Yours, kept, and without a purpose now; delete or change:",
    ]
    assert "-import database" in notes[1].splitlines()
    assert notes[2].splitlines()[1:] == ["src/orders/models.py"]


def test_migrations_are_trusted_when_they_are_crossed_and_what_they_change_is_formatted(
    *, run: Run, service: Path, template: Path, git: Git, commit: Any, copier: Any, capsys: Any
) -> None:
    (template / "copier.yml").write_text(
        "_subdirectory: template\n_migrations: [{version: 0.2.0, command: x}]\n"
    )
    commit(template)
    git(template, "tag", "--force", "0.2.0")
    copier.during = lambda tree: (tree / "src/orders/app.py").write_text("app  =  2\n")
    copier.says = "Migration 0.2.0: Makefile: it moved.\n+a line"
    result = run()
    assert result.migrations == ["0.2.0"]
    assert copier.calls[0]["trust"] is True
    told = capsys.readouterr().out
    assert "migrations run with your rights (copier --trust): 0.2.0" in told
    assert "The migrations report:\n    Migration 0.2.0: Makefile: it moved.\n    +a line\n" in told
    assert result.reports == copier.says
    message = git(service, "show", "--no-patch", "--format=%b", BRANCH)
    assert f"The migrations report:\n\n{copier.says}\n" in message
    assert git(service, "show", f"{BRANCH}:src/orders/app.py") == "app = 2\n"


def test_what_copier_says_without_a_migration_is_not_told(run: Run, copier: Any, capsys: Any) -> None:
    copier.says = "a warning"
    assert run().reports == ""
    assert "a warning" not in capsys.readouterr().out


def test_a_stale_lock_is_told_and_the_update_goes_on(
    run: Run, service: Path, commit: Any, monkeypatch: Any
) -> None:
    (service / "uv.lock").touch()
    commit(service)
    monkeypatch.setattr("chassis.cli.update.tooling.find_uv", lambda _: None)
    result = run()
    assert (result.status, result.lock) == ("updated", "stale")
    assert result.notes == ["uv.lock is stale, because there is no uv here: run make lock on the branch."]


def test_a_service_in_a_folder_of_a_repository(
    run: Run, service: Path, tmp_path: Path, git: Git, commit: Any
) -> None:
    (service / ".git").rename(tmp_path / "gone")
    (tmp_path / "mono/services").mkdir(parents=True)
    service.rename(tmp_path / "mono/services/orders")
    (tmp_path / "mono/Makefile").write_text("test:\n\tfalse\n")
    commit(tmp_path / "mono")
    (tmp_path / "mono/not-committed").touch()
    result = run(tmp_path / "mono/services/orders")
    assert result.branch == f"{BRANCH}-services-orders"
    changed = git(tmp_path / "mono", "diff", "--name-only", f"HEAD...{result.branch}").split()
    assert len(changed) == 4
    assert all(path.startswith("services/orders/") for path in changed)


def test_a_folder_whose_name_is_none_for_a_branch(
    run: Run, service: Path, tmp_path: Path, git: Git, commit: Any
) -> None:
    (service / ".git").rename(tmp_path / "gone")
    folder = tmp_path / "mono" / "our services" / "a..b.lock" / "it's [é]."
    folder.parent.mkdir(parents=True)
    service.rename(folder)
    commit(tmp_path / "mono")
    assert run(folder).branch == f"{BRANCH}-our-services-a-.b-lock-it-s-é--"
    assert run(folder, data={"a b": "c"}).branch.startswith("chassis-answers-a-b-our-services")


def test_a_file_of_the_template_that_the_owner_lets_git_ignore_comes_too(
    run: Run, service: Path, git: Git, commit: Any
) -> None:
    (service / ".gitignore").write_text("added.py\ncontext.py\n")
    (service / "chassis/src/chassis/context.py").write_text("context = 'mine'\n")
    commit(service)
    result = run(heal=True)
    names = git(service, "ls-tree", "-r", "--name-only", result.branch).split()
    assert "chassis/src/chassis/added.py" in names
    assert git(service, "show", f"{BRANCH}:chassis/src/chassis/context.py") == "context = 1\n"


def test_what_git_ignores_is_not_called_edited_nor_looked_for_in_a_commit(
    run: Run, service: Path, git: Git, commit: Any, capsys: Any
) -> None:
    (service / ".gitignore").write_text("SECURITY.md\n")
    (service / "SECURITY.md").write_text("as it was once\n")
    git(service, "rm", "--quiet", "--cached", "SECURITY.md")
    commit(service)
    assert run().notes == []
    told = capsys.readouterr().out
    assert "    SECURITY.md: ignored by git: git add --force SECURITY.md\n" in told
    assert "Edited by hand" not in told


def test_a_library_that_is_not_in_git_is_refused(run: Run, service: Path, git: Git, commit: Any) -> None:
    (service / ".gitignore").write_text("chassis/\n")
    git(service, "rm", "--quiet", "-r", "--cached", "chassis")
    commit(service)
    with pytest.raises(UpdateError, match=r"files of chassis/ are not in git.*git add --force chassis"):
        run()


def test_a_branch_that_somebody_made_meanwhile_is_not_moved(
    run: Run, service: Path, git: Git, copier: Any, state: Callable[[], Any]
) -> None:
    copier.during = lambda _: git(service, "branch", BRANCH)
    with pytest.raises(UpdateError, match=f"{BRANCH} was made or changed while this ran"):
        run()
    assert git(service, "rev-parse", BRANCH) == git(service, "rev-parse", "HEAD")


def test_healing_is_advised_where_it_helps(run: Run, service: Path, copier: Any, commit: Any) -> None:
    copier.conflict = "Makefile"
    with pytest.raises(UpdateError, match="so nothing was changed: make update ARGS=--keep lets you"):
        run()
    (service / "Makefile").write_text("update:\n\tchassis update\n")
    commit(service)
    with pytest.raises(UpdateError, match="so nothing was changed: make update HEAL=1 restores"):
        run()


def test_check_says_whether_the_service_is_behind(
    run: Run, service: Path, git: Git, copier: Any, capsys: Any
) -> None:
    report = Report(as_json=False)
    assert check(find(service), Request(), report)
    assert (report.result.status, report.result.current, report.result.target) == ("behind", "0.1.0", "0.2.0")
    assert "    - The `second`." in capsys.readouterr().out.splitlines()
    assert not check(find(service), Request(to="0.1"), report)
    assert report.result.status == "up-to-date"
    assert copier.calls == []


def test_check_of_a_service_that_records_a_bare_commit(service: Path, template: Path, git: Git) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text(
        answers.read_text().replace("0.1.0", git(template, "rev-parse", "--short", "0.2.0^{}").strip())
    )
    assert not check(find(service), Request(), Report(as_json=False))
