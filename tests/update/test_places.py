"""Where the template and the service may be: a bundle file, another place, an older line, a monorepo, branches."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import copier
import pytest
from promises import broken_promises, unmerged
from releases import Releases, commit, git
from services import (
    MARK,
    PACKAGE,
    answers_of,
    copy_of,
    edited,
    recorded,
)

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

Render = Callable[..., Path]
Update = Callable[..., None]


def test_a_bundle_file_is_template_enough_without_a_network(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: Update
) -> None:
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    monkeypatch.setattr(socket.socket, "connect", no_network)
    bundle = tmp_path / "template.bundle"
    git(releases.repository, "bundle", "create", "--quiet", str(bundle), releases.present)
    service = tmp_path / "service"
    copier.run_copy(str(bundle), service, vcs_ref=releases.present, defaults=True, quiet=True)
    commit(service, "Begin")
    git(releases.repository, "bundle", "create", "--quiet", str(bundle), "--all")
    update(service)
    assert list(unmerged(service)) == []
    assert recorded(service)["_commit"] == releases.last


def no_network(*_arguments: object) -> None:
    """Stand in for a connection."""
    raise OSError("the network is off")


def test_a_patch_of_an_older_line_reaches_who_stays_on_it_and_the_next_line_comes_later(
    service: Path, update: Update, releases: Releases, rendered: Render, tmp_path: Path
) -> None:
    update(service, to=releases.patch)
    assert "# patched" in (service / "Makefile").read_text(encoding="utf-8")
    assert recorded(service)["_commit"] == releases.patch
    assert not (service / "chassis/src/chassis/next_release.py").exists()
    commit(service, "A patch")
    before = copy_of(service, tmp_path / "before")
    update(service, to=releases.following)
    began = rendered(releases.patch)
    fresh = rendered(releases.following, "as-before", **answers_of(began))
    assert broken_promises(service, before, began, fresh) == []


def test_a_template_that_moved_is_found_where_the_owner_says(
    rendered: Render, releases: Releases, update: Update, tmp_path: Path
) -> None:
    service = copy_of(rendered(releases.present), tmp_path / "service")
    moved = tmp_path / "moved"
    git(tmp_path, "clone", "--quiet", str(releases.repository), str(moved))
    answers = service / ".copier-answers.yml"
    answers.write_text(
        answers.read_text(encoding="utf-8").replace(str(releases.repository), str(moved)), encoding="utf-8"
    )
    commit(service, "The template moved")
    update(service, to=releases.following)
    assert list(unmerged(service)) == []
    assert recorded(service)["_src_path"] == str(moved)
    assert recorded(service)["_commit"] == releases.following


def test_a_service_in_a_monorepo_is_updated_alone(
    rendered: Render, releases: Releases, update: Update, tmp_path: Path
) -> None:
    began = rendered(releases.present)
    repository = tmp_path / "repository"
    before = edited(began, tmp_path / "before")
    for name in ("orders", "payments"):
        shutil.copytree(before, repository / "services" / name, ignore=shutil.ignore_patterns(".git"))
    (repository / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['libraries/*']\n")
    (repository / "src").mkdir()
    (repository / "src" / "shared.py").write_text(MARK, encoding="utf-8")
    commit(repository, "Begin")
    service = repository / "services" / "orders"
    update(service, to=releases.following)
    fresh = rendered(releases.following, "as-before", **answers_of(began))
    assert broken_promises(service, before, began, fresh) == []
    touched = git(repository, "status", "--porcelain").splitlines()
    assert [line for line in touched if not line[3:].startswith("services/orders/")] == []


def test_two_branches_with_the_same_update_merge(
    service: Path, update: Update, releases: Releases, tmp_path: Path
) -> None:
    (service / "uv.lock").write_text("# locked\n", encoding="utf-8")
    commit(service, "Lock")
    other = copy_of(service, tmp_path / "other")
    for number, clone in enumerate((service, other)):
        git(clone, "switch", "--quiet", "--create", f"update-{number}")
        update(clone, to=releases.following)
        (clone / PACKAGE / f"work_{number}.py").write_text(MARK, encoding="utf-8")
        commit(clone, "Update")
    git(service, "fetch", "--quiet", str(other), "update-1")
    git(service, "merge", "--quiet", "--no-edit", "FETCH_HEAD")
    assert list(unmerged(service)) == []
    assert (service / "uv.lock").read_text(encoding="utf-8") == "# locked\n"
    assert recorded(service)["_commit"] == releases.following
