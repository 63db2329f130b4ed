"""The pipelines ask for a newer standard and propose it: their scripts, run against a repository in a folder.

The GitHub command and the push options of GitLab are written down instead of obeyed.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from releases import Releases, commit, git

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

BRANCH = "chassis-update-0.2.0"
TITLE = "Update the chassis from 0.1.0 to 0.2.0"
CHANGES = "0.2.0\n\n- The second.\n- A third."
GH = '#!/bin/sh\nprintf "%s\\n" "$@" >> "$TOLD"\nfor last; do :; done\ncat "$last" >> "$TOLD"\n'
HOOK = '#!/bin/sh\nenv | grep "^GIT_PUSH_OPTION_[0-9]" | sort | cut -d= -f2- >> "$TOLD"\nexit 0\n'
# What stands for the command of the service when it is asked whether there is a newer standard.
CHASSIS = '#!/bin/sh\n[ "$*" = "update --check" ] && exit "$CODE"\n'

Propose = Callable[..., str]


def script(path: Path) -> Path:
    path.chmod(0o755)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A service in which `make update` made its branch, beside one where it is pushed to."""
    origin, folder = tmp_path / "origin.git", tmp_path / "orders"
    git(tmp_path, "init", "--quiet", "--bare", str(origin))
    git(origin, "config", "receive.advertisePushOptions", "true")
    (origin / "hooks/pre-receive").write_text(HOOK)
    script(origin / "hooks/pre-receive")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/chassis").write_text(CHASSIS)
    script(folder / ".venv/bin/chassis")
    (folder / "Makefile").write_text(f"install:\nupdate:\n\tgit branch --force {BRANCH} later\n")
    commit(folder)
    git(folder, "switch", "--quiet", "--create", "later")
    (folder / "new").touch()
    commit(folder, f"{TITLE}\n\n{CHANGES}")
    git(folder, "switch", "--quiet", "main")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").write_text(GH)
    script(tmp_path / "bin/gh")
    return folder


@pytest.fixture
def propose(repository: Path, tmp_path: Path) -> Propose:
    """Run the lines of a pipeline; returns what was told to the place that opens the request."""

    def run(lines: str, host: str, **variables: str) -> str:
        told = tmp_path / "told"
        told.write_text("")
        (tmp_path / "gitconfig").write_text(f'[url "{tmp_path}/origin.git"]\n\tinsteadOf = {host}\n')
        environment = {
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
            "RUNNER_TEMP": str(tmp_path),
            "TOLD": str(told),
        }
        subprocess.run(
            ["bash", "-eo", "pipefail", "-c", lines],
            cwd=repository,
            env=environment | variables,
            check=True,
            capture_output=True,
        )
        return told.read_text()

    return run


@pytest.fixture
def workflow(rendered: Callable[..., Path], releases: Releases) -> dict[Any, Any]:
    """The workflow that GitHub reads."""
    text = (rendered(releases.present) / ".github/workflows/standard.yml").read_text(encoding="utf-8")
    loaded: dict[Any, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture
def job(rendered: Callable[..., Path], releases: Releases) -> dict[str, Any]:
    """The job of GitLab."""
    service = rendered(releases.present, "gitlab", ci="gitlab")
    loaded: dict[str, Any] = yaml.safe_load((service / ".gitlab/chassis.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = loaded["standard"]
    return found


def test_github_asks_every_monday(workflow: dict[Any, Any]) -> None:
    # YAML reads the key `on` as true.
    (schedule,) = workflow[True]["schedule"]
    assert schedule["cron"].split()[2:] == ["*", "*", "1"]
    checks = [step.get("run", "") for step in workflow["jobs"]["update"]["steps"]]
    assert any("chassis update --check" in lines for lines in checks)


def test_github_opens_a_pull_request_with_the_changelog_once(
    workflow: dict[Any, Any], repository: Path, propose: Propose
) -> None:
    steps = {step.get("name"): step for step in workflow["jobs"]["update"]["steps"]}
    assert "== '2'" in steps["Open the pull request"]["if"]
    git(repository, "branch", BRANCH, "later")
    variables = {"GH_TOKEN": "t0ken", "REPOSITORY": "shop/orders"}
    lines, host = (
        steps["Open the pull request"]["run"],
        "https://x-access-token:t0ken@github.com/shop/orders.git",
    )
    told = propose(lines, host, **variables)
    assert told.startswith(f"pr\ncreate\n--head\n{BRANCH}\n--title\n{TITLE}\n--body-file\n")
    assert told.rstrip().endswith(CHANGES)
    assert git(repository.parent / "origin.git", "branch", "--list").split() == [BRANCH]
    assert propose(lines, host, **variables) == ""


def test_gitlab_asks_in_a_schedule_that_has_a_token(job: dict[str, Any]) -> None:
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule" && $STANDARD_TOKEN'}]


@pytest.mark.parametrize(("code", "proposed"), [("2", True), ("0", False)])
def test_gitlab_opens_a_merge_request_with_the_changelog_once(
    *, job: dict[str, Any], propose: Propose, code: str, proposed: bool
) -> None:
    host = "https://standard:t0ken@git.example.com/shop/orders.git"
    variables = {
        "CODE": code,
        "STANDARD_TOKEN": "t0ken",
        "CI_SERVER_HOST": "git.example.com",
        "CI_PROJECT_PATH": "shop/orders",
    }
    lines = "\n".join(job["script"])
    told = propose(lines, host, **variables).splitlines()
    if proposed:
        description = CHANGES.replace("\n", "\\n")
        assert told[0] == "merge_request.create"
        assert told[1].startswith(f"merge_request.description={description}\\n")
    assert len(told) == (2 if proposed else 0)
    assert propose(lines, host, **variables) == ""
