"""Renovate itself, on a rendered service: it reads renovate.json and finds a newer release of the template."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODULES = Path(__file__).resolve().parents[3] / "build" / "ops" / "npm" / "node_modules" / ".bin"
BEGUN, NEXT = "0.2.0", "0.3.0"
PATIENCE = 300
WARNING = 40
# It does without: a faster engine for regular expressions, which is compiled when it is installed.
KNOWN = ("RE2 not usable", "Attempting to use non-git url")

Entry = dict[str, Any]


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Change")


@pytest.fixture(scope="module", params=["github", "gitlab"])
def log(
    request: pytest.FixtureRequest, render: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Entry]:
    """What Renovate logs about a service whose template has a newer release, without a network."""
    if not (MODULES / "renovate").exists():
        pytest.fail("Renovate is not installed: make test-ops", pytrace=False)
    folder = tmp_path_factory.mktemp("renovate")
    template = folder / "template"
    template.mkdir()
    commit(template)
    for version in (BEGUN, NEXT):
        git(template, "tag", version)
    service = render(fresh=True, ci=request.param)
    (service / ".copier-answers.yml").write_text(f"_commit: {BEGUN}\n_src_path: file://{template}\n")
    commit(service)
    environment = {
        "HOME": str(folder),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "debug",
        "PATH": os.pathsep.join([str(MODULES), os.environ["PATH"]]),
        "RENOVATE_BASE_DIR": str(folder / "base"),
        # The others ask hosts elsewhere.
        "RENOVATE_ENABLED_MANAGERS": '["copier"]',
    }
    done = subprocess.run(
        [MODULES / "renovate", "--platform=local"],
        cwd=service,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_the_configuration_is_accepted(log: list[Entry]) -> None:
    told = [entry["msg"] for entry in log if entry["level"] >= WARNING]
    assert [text for text in told if not text.startswith(KNOWN)] == []
    assert [entry for entry in log if entry.get("validationErrors") or entry.get("validationWarnings")] == []


def test_a_newer_release_of_the_template_is_found(log: list[Entry]) -> None:
    found = [entry["config"] for entry in log if entry["msg"] == "packageFiles with updates"]
    assert len(found) == 1
    (answers,) = found[0]["copier"]
    (template,) = answers["deps"]
    assert answers["packageFile"] == ".copier-answers.yml"
    assert (template["datasource"], template["currentValue"]) == ("git-tags", BEGUN)
    assert [update["newValue"] for update in template["updates"]] == [NEXT]
