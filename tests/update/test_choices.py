"""A bundle, a deployment or a CI that is chosen or dropped in a service that lives: seeds once, nothing lost."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from promises import broken_promises, unmerged
from releases import CHANGED, Releases, commit
from services import (
    MARK,
    PACKAGE,
    answers_of,
    copy_of,
    with_requirements,
)

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

Render = Callable[..., Path]
Update = Callable[..., None]


def test_a_bundle_that_is_chosen_later_brings_its_seeds_once(
    service: Path, update: Update, releases: Releases
) -> None:
    with_requirements(service, "aiofiles>=24", "zeep>=4", "uvloop", "wheel")
    kubernetes = service / "deploy/kubernetes"
    overlays = {file: file.read_bytes() for file in kubernetes.glob("overlays/*/*")}
    assert "optional: true" in (kubernetes / "base/deployment.yaml").read_text(encoding="utf-8")
    update(service, to=releases.present, data={"bundles": ["database"]})
    assert list(unmerged(service)) == []
    assert (kubernetes / "base/migration.yaml").exists()
    assert "migration.yaml" in (kubernetes / "base/kustomization.yaml").read_text(encoding="utf-8")
    assert "optional: true" not in (kubernetes / "base/deployment.yaml").read_text(encoding="utf-8")
    assert {file: file.read_bytes() for file in kubernetes.glob("overlays/*/*")} == overlays
    assert (service / "migrations/env.py").exists()
    assert (service / "tests/test_migrations.py").exists()
    # The example in src/ has no models here, so it brings no revision: the seeded test would find a difference.
    assert not (service / PACKAGE / "items/models.py").exists()
    assert not (service / "migrations/versions/0001_items.py").exists()
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_migrations.py"],
        cwd=service,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, (service / "src", service / "chassis/src")))},
        check=False,
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout
    project = tomllib.loads((service / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = project["dependencies"]
    assert {"aiofiles>=24", "zeep>=4", "uvloop", "wheel"} < set(needed)
    assert any(item.startswith("vendored-chassis[") and "database" in item for item in needed)

    (service / "migrations/script.py.mako").unlink()
    (service / "tests/test_migrations.py").write_text(MARK, encoding="utf-8")
    commit(service, "Work with the database")
    update(service, to=releases.following)
    assert list(unmerged(service)) == []
    assert not (service / "migrations/script.py.mako").exists()
    assert (service / "tests/test_migrations.py").read_text(encoding="utf-8") == MARK
    assert CHANGED not in (service / "migrations/env.py").read_text(encoding="utf-8")


def test_what_is_dropped_leaves_every_file_of_the_owner(
    rendered: Render, update: Update, releases: Releases, tmp_path: Path
) -> None:
    began = rendered(releases.present, "database", bundles=["database"])
    service = copy_of(began, tmp_path / "service")
    with_requirements(service, "aiofiles>=24")
    (service / ".github/workflows/service.yml").write_text(MARK, encoding="utf-8")
    commit(service, "A workflow")
    before = copy_of(service, tmp_path / "before")
    update(service, to=releases.present, data={"bundles": [], "ci": "gitlab", "deployment": "none"})
    fresh = rendered(
        releases.present,
        "dropped",
        **answers_of(began) | {"bundles": [], "ci": "gitlab", "deployment": "none"},
    )
    assert broken_promises(service, before, began, fresh) == []
    for path in ("migrations/env.py", "tests/test_migrations.py", ".github/workflows/service.yml"):
        assert (service / path).read_bytes() == (before / path).read_bytes()
    assert (service / "deploy/kubernetes/overlays/production/kustomization.yaml").exists()
    assert not (service / "Dockerfile").exists()


def test_a_deployment_that_is_chosen_later_brings_its_overlays_once(
    rendered: Render, update: Update, releases: Releases, tmp_path: Path
) -> None:
    began = rendered(releases.present, "nowhere", deployment="none", ci="none")
    service = copy_of(began, tmp_path / "service")
    update(service, to=releases.present, data={"deployment": "kubernetes", "description": "Another one."})
    overlay = service / "deploy/kubernetes/overlays/production/kustomization.yaml"
    overlay.write_text(MARK, encoding="utf-8")
    commit(service, "On Kubernetes")
    update(service, to=releases.following)
    assert list(unmerged(service)) == []
    assert overlay.read_text(encoding="utf-8") == MARK
    assert CHANGED in (service / "deploy/kubernetes/base/kustomization.yaml").read_text(encoding="utf-8")
