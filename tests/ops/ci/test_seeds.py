"""What a service gets once, for its editors, hooks, reviews and updates."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[3]
# Where GitHub and GitLab look for the first owner of everything: a pattern, then addresses or names.
CODEOWNER = re.compile(r"\* [A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+")


@pytest.fixture
def service(render_pipelines: Callable[..., Path], answers: dict[str, Any]) -> Path:
    return render_pipelines(ci="github", **answers)


def test_renovate_understands_every_configuration(
    render_pipelines: Callable[..., Path], node: str, npm_package: Callable[[str], Path]
) -> None:
    files = [
        render_pipelines(ci=ci, deployment=deployment) / "renovate.json"
        for ci, deployment in (("github", "kubernetes"), ("gitlab", "compose"), ("none", "none"))
    ]
    done = subprocess.run(
        [
            node,
            npm_package("renovate") / "dist" / "config-validator.js",
            *("--strict", "--no-global"),
            *files,
            ROOT / ".github" / "renovate.json",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Config validated successfully against 4 file(s)" in done.stdout


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_renovate_leaves_alone_what_the_template_owns(
    ci: str, render_pipelines: Callable[..., Path], answers: dict[str, Any]
) -> None:
    service = render_pipelines(ci=ci, **answers)
    settings = json.loads((service / "renovate.json").read_text(encoding="utf-8"))
    assert {"helpers:pinGitHubActionDigests", "docker:pinDigests"} <= set(settings["extends"])
    owned = {
        path.relative_to(service).as_posix()
        for pattern in (
            ".github/workflows/*.yml",
            ".gitlab-ci.yml",
            ".gitlab/*.yml",
            "Dockerfile",
            "compose.yaml",
        )
        for path in service.glob(pattern)
    }
    assert owned | {"chassis/**"} == set(settings["ignorePaths"])


def test_the_repository_s_renovate_finds_the_pins_of_the_template() -> None:
    settings = json.loads((ROOT / ".github" / "renovate.json").read_text(encoding="utf-8"))
    managers = [settings[name] for name in ("github-actions", "gitlabci", "dockerfile", "docker-compose")]
    patterns = [
        re.compile(pattern.strip("/"))
        for manager in [*managers, *settings["customManagers"]]
        for pattern in manager["managerFilePatterns"]
    ]
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "template").rglob("*.jinja")]
    assert [pattern.pattern for pattern in patterns if not any(pattern.search(file) for file in files)] == []
    texts = "".join((ROOT / file).read_text(encoding="utf-8") for file in files if "/workflows/" in file)
    for manager in settings["customManagers"]:
        (expression,) = manager["matchStrings"]
        assert re.search(expression.replace("(?<", "(?P<"), texts), expression


def test_the_devcontainer_has_the_python_and_the_port_of_the_service(
    service: Path, answers: dict[str, Any]
) -> None:
    container = json.loads((service / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["image"].endswith(f":{answers.get('python_version', '3.13')}")
    assert container["forwardPorts"] == [answers.get("port", 8000)]
    assert container["name"] == answers.get("service_name", "Orders")
    assert container["postCreateCommand"] == "make install"


def test_editors_wrap_where_the_formatter_does(service: Path) -> None:
    rules = tomllib.loads((service / "chassis" / "ruff.toml").read_text(encoding="utf-8"))
    text = (service / ".editorconfig").read_text(encoding="utf-8")
    assert f"[*.py]\nmax_line_length = {rules['line-length']}\n" in text


@pytest.mark.parametrize(("value", "read"), [('["GHSA-0000-0000-0000"]', True), ("3", False)])
def test_uv_reads_which_weaknesses_are_accepted(
    value: str, read: bool, wheel: Callable[[str], str], tmp_path: Path
) -> None:
    project = f'[project]\nname = "x"\nversion = "1"\n[tool.uv.audit]\nignore = {value}\n'
    (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
    command = [wheel("uv"), "lock", "--offline"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    # of a key that it does not know, uv says nothing
    assert ("expected a sequence" in done.stderr) is not read, done.stderr


def test_the_team_is_asked_to_review(service: Path, answers: dict[str, Any]) -> None:
    *comments, last = (service / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    assert all(comment.startswith("# ") for comment in comments)
    assert last == f"* {answers.get('team_email', 'platform@example.com')}"
    assert CODEOWNER.fullmatch(last)


def test_weaknesses_are_reported_to_the_team(service: Path, answers: dict[str, Any]) -> None:
    text = (service / "SECURITY.md").read_text(encoding="utf-8")
    assert f"<{answers.get('team_email', 'platform@example.com')}>" in text


class TestHooks:
    """Hooks before a commit, run for real and without a network."""

    @pytest.fixture
    def repository(self, render_pipelines: Callable[..., Path], tmp_path: Path) -> Path:
        """A service whose `make check` is there and fast."""
        folder = Path(shutil.copytree(render_pipelines(), tmp_path / "orders"))
        (folder / "Makefile").write_text("check:\n\t@echo checked\n", encoding="utf-8")
        git(folder, "init", "--quiet")
        git(folder, "add", "--all")
        return folder

    @pytest.fixture
    def hooks(self, repository: Path, wheel: Callable[[str], str], tmp_path: Path) -> Callable[..., Any]:
        # Root can take the network away from a process.
        offline = ["unshare", "--net"] if os.geteuid() == 0 else []

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*offline, wheel("prek"), "run", "--all-files", "--verbose", *arguments],
                cwd=repository,
                env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PREK_HOME": str(tmp_path / "prek")},
                check=False,
                capture_output=True,
                text=True,
            )

        return run

    def test_a_fresh_service_passes_offline(self, hooks: Callable[..., Any]) -> None:
        done = hooks()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "checked" in done.stdout

    @pytest.mark.parametrize(
        ("text", "hook"),
        [
            ("-----BEGIN " + "RSA PRIVATE KEY-----\n", "private-keys"),
            ("key = AKIA" + "ABCDEFGHIJKLMNOP\n", "private-keys"),
            ("<<<<" + "<<< HEAD\n", "conflicts"),
        ],
    )
    def test_what_should_not_be_committed_is_stopped(
        self, repository: Path, hooks: Callable[..., Any], text: str, hook: str
    ) -> None:
        (repository / "notes.txt").write_text(text, encoding="utf-8")
        git(repository, "add", "notes.txt")
        done = hooks(hook)
        assert done.returncode == 1
        assert "notes.txt" in done.stdout


def git(folder: Path, *arguments: str) -> None:
    """Run git without anyone's configuration."""
    subprocess.run(
        ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", *arguments],
        cwd=folder,
        check=True,
    )
