"""Services to try something with: copies, what their owners did to them, what they were rendered with."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from releases import commit

PACKAGE = "src/example_service"
MARK = "# edited by the owner\n"

DELETED = [
    # the template's
    ".dockerignore",
    ".github/workflows/ci.yml",
    "deploy/kubernetes/base/disruption-budget.yaml",
    # the owner's
    "README.md",
    "mypy.ini",
    "config/service.yaml",
    "deploy/kubernetes/overlays/staging/kustomization.yaml",
    "tests/test_items.py",
    f"{PACKAGE}/items/__init__.py",
    f"{PACKAGE}/items/router.py",
    f"{PACKAGE}/items/schemas.py",
    f"{PACKAGE}/items/service.py",
]
EDITED = [
    f"{PACKAGE}/app.py",
    f"{PACKAGE}/settings.py",
    "pytest.toml",
    "ruff.toml",
    "deploy/kubernetes/overlays/production/kustomization.yaml",
    ".gitignore",
    "pyproject.toml",
]
OWN = [
    "service.mk",
    "chassis/NOTES.md",
    "deploy/kubernetes/base/own.yaml",
    "deploy/next/own.yaml",
    ".github/workflows/service.yml",
    "migrations/README.md",
    f"{PACKAGE}/own/__init__.py",
]
IGNORED = [".env", ".venv/own", "data/own.db"]


def copy_of(service: Path, folder: Path) -> Path:
    """Copy a service with its history."""
    return Path(shutil.copytree(service, folder, symlinks=True))


def edited(service: Path, folder: Path) -> Path:
    """Make a copy in which the owner deleted, edited and added files of every kind."""
    copy_of(service, folder)
    for path in DELETED:
        (folder / path).unlink()
    for path in EDITED:
        with (folder / path).open("a", encoding="utf-8", newline="") as opened:
            opened.write(MARK)
    for path in OWN + IGNORED:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"{MARK}{path}\n", encoding="utf-8")
    (folder / ".gitignore").write_text(
        (folder / ".gitignore").read_text(encoding="utf-8") + "/data/\n", encoding="utf-8"
    )
    commit(folder, "Years of work")
    return folder


def with_requirements(service: Path, *requirements: str) -> None:
    """Let uv add requirements, as an owner does, and commit."""
    uv = Path(sys.executable).parent / "uv"
    for requirement in requirements:
        command = [str(uv), "add", "--frozen", "--offline", "--quiet", requirement]
        subprocess.run(command, cwd=service, check=True, capture_output=True)
    commit(service, "Requirements")


def recorded(service: Path) -> dict[str, Any]:
    """Give the recorded answers with Copier's own."""
    answers: dict[str, Any] = yaml.safe_load((service / ".copier-answers.yml").read_text(encoding="utf-8"))
    return answers


def answers_of(service: Path) -> dict[str, Any]:
    """Give the recorded answers without Copier's own."""
    return {name: answer for name, answer in recorded(service).items() if not name.startswith("_")}
