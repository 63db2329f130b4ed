"""The command: its exit codes, its JSON, and what it says when it stops."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chassis.cli.update import flow, worktree
from chassis.cli.update.command import app

Run = Callable[..., Result]

UNCOMMITTED = "not everything is committed: commit these files, ignore or remove them, and run this again"


@pytest.fixture
def run(service: Path) -> Run:
    return lambda *arguments: CliRunner().invoke(app, ["--directory", str(service), *arguments])


def test_a_service_that_is_behind_exits_with_2(run: Run) -> None:
    result = run("--check")
    assert result.exit_code == 2
    assert result.stdout.startswith("Behind: this service has 0.1.0, the newest release is 0.2.0.")


def test_a_service_that_is_up_to_date_exits_with_0(run: Run) -> None:
    assert run("--check", "--to", "0.1.0").exit_code == 0


def test_an_error_exits_with_1_and_says_what_to_do(run: Run, service: Path) -> None:
    (service / "new file").touch()
    result = run()
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "    new file",
        f"chassis update: {UNCOMMITTED}",
    ]


def test_json_holds_everything_and_nothing_else_is_printed(run: Run, service: Path, copier: Any) -> None:
    (service / "new file").touch()
    failed = json.loads(run("--json").stdout)
    assert (failed["status"], failed["files"]) == ("failed", ["new file"])
    assert failed["error"] == UNCOMMITTED
    (service / "new file").unlink()
    behind = json.loads(run("--check", "--json").stdout)
    assert (behind["status"], behind["changelog"]) == ("behind", "## 0.2.0 (2026-11-02)\n\n- The `second`.")
    updated = json.loads(run("--json").stdout)
    assert (updated["status"], updated["branch"], updated["tests"]) == (
        "updated",
        "chassis-update-0.2.0",
        "passed",
    )


def test_what_a_failing_program_printed_is_shown(run: Run, copier: Any) -> None:
    copier.fails = "line one\nline two"
    assert run().stderr.splitlines()[:2] == ["    line one", "    line two"]


def test_the_end_of_what_failing_tests_printed_is_shown(
    run: Run, service: Path, copier: Any, commit: Callable[[Path], str]
) -> None:
    # GNU make reads this one before the template's.
    (service / "GNUmakefile").write_text("test:\n\t@seq 900; exit 1\n")
    commit(service)
    result = run()
    assert result.exit_code == 1
    shown = [line.strip() for line in result.stderr.splitlines()]
    assert "900" in shown
    assert "1" not in shown


def test_a_stopped_update_says_so(run: Run, copier: Any) -> None:
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    copier.during = stop
    result = run()
    assert result.exit_code == 130
    assert result.stderr == "chassis update: stopped; the service is as it was\n"


def test_one_that_is_stopped_after_its_branch_was_made_says_that(
    run: Run, copier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = worktree._remove

    def stop(repository: Path, tree: Path) -> None:
        remove(repository, tree)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(worktree, "_remove", stop)
    result = run()
    assert result.exit_code == 130
    assert result.stderr == "chassis update: stopped; the branch chassis-update-0.2.0 was made already\n"


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], {"to": "", "data": {}, "heal": False, "keep": False, "tests": True, "template": ""}),
        (["--to", "0.2"], {"to": "0.2"}),
        (["--data", "port=9000", "--data", "team=a=b"], {"data": {"port": "9000", "team": "a=b"}}),
        (["--heal"], {"heal": True}),
        (["--keep"], {"keep": True}),
        (["--no-tests"], {"tests": False}),
        (["--template", "t.bundle"], {"template": "t.bundle"}),
    ],
)
def test_each_option_is_part_of_what_is_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: list[str], asked: dict[str, object]
) -> None:
    requests: list[Any] = []
    monkeypatch.setattr(flow, "update", lambda _, request, __: requests.append(request))
    assert run(*options).exit_code == 0
    (request,) = requests
    assert {name: getattr(request, name) for name in asked} == asked


@pytest.mark.parametrize("data", ["bundles", "=x"])
def test_data_names_an_answer(run: Run, data: str) -> None:
    result = run("--data", data)
    assert result.exit_code == 1
    assert "write --data question=value" in result.stderr
