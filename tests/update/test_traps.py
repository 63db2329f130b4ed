"""Every way that was found to lose an owner's work or to leave a conflict, tried on the real template."""

import itertools
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier.errors import UserMessageError
from ownership import whose
from promises import broken_promises, contents, unmerged
from releases import CHANGED, HANDED_OVER, Releases, commit, git

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

Render = Callable[..., Path]
Update = Callable[..., None]

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


class Renewed:
    """A service before and after it was renewed."""

    def __init__(self, folder: Path) -> None:
        self.before = folder / "before"
        self.after = folder / "service"

    def text(self, path: str) -> str:
        """Give a file as it is now."""
        return (self.after / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def updated(once: Callable[..., Any], rendered: Render, releases: Releases, update: Update) -> Renewed:
    """The edited service after an update to the following release."""

    def make(folder: Path) -> Path:
        before = edited(rendered(releases.present), folder / "before")
        update(copy_of(before, folder / "service"), to=releases.following)
        return folder

    return Renewed(once("updated", make))


@pytest.fixture(scope="module")
def recopied(once: Callable[..., Any], rendered: Render, releases: Releases) -> Renewed:
    """The edited service after `copier recopy --overwrite` with the following release."""

    def make(folder: Path) -> Path:
        before = edited(rendered(releases.present), folder / "before")
        service = copy_of(before, folder / "service")
        copier.run_recopy(service, vcs_ref=releases.following, defaults=True, overwrite=True, quiet=True)
        return folder

    return Renewed(once("recopied", make))


@pytest.fixture(scope="module", params=["updated", "recopied"])
def renewed(request: pytest.FixtureRequest) -> Renewed:
    """The edited service, renewed in one of two ways."""
    made: Renewed = request.getfixturevalue(request.param)
    return made


def recorded(service: Path) -> dict[str, Any]:
    """Give the recorded answers with Copier's own."""
    answers: dict[str, Any] = yaml.safe_load((service / ".copier-answers.yml").read_text(encoding="utf-8"))
    return answers


def answers_of(service: Path) -> dict[str, Any]:
    """Give the recorded answers without Copier's own."""
    return {name: answer for name, answer in recorded(service).items() if not name.startswith("_")}


# --- An update and a recopy of an edited service ---


def test_an_update_keeps_every_promise(updated: Renewed, rendered: Render, releases: Releases) -> None:
    began = rendered(releases.present)
    fresh = rendered(releases.following, "as-before", **answers_of(began))
    assert broken_promises(updated.after, updated.before, began, fresh) == []


def test_what_is_the_owners_is_as_it_was(renewed: Renewed) -> None:
    before, after = contents(renewed.before), contents(renewed.after)
    owned = {path for path in before if whose(path) == "service"} | set(OWN)
    assert set(IGNORED) < owned
    assert [path for path in sorted(owned) if after.get(path) != before[path]] == []


def test_what_the_owner_deleted_of_the_own_files_stays_deleted(renewed: Renewed) -> None:
    gone = [path for path in DELETED if whose(path) == "service"]
    assert [path for path in gone if (renewed.after / path).exists()] == []


def test_what_the_owner_deleted_of_the_templates_files_stays_deleted_by_an_update(updated: Renewed) -> None:
    assert [path for path in DELETED if (updated.after / path).exists()] == []


def test_a_seed_that_is_new_in_the_template_does_not_appear_in_a_service(renewed: Renewed) -> None:
    assert not (renewed.after / PACKAGE / "next_release.py").exists()


def test_nothing_is_left_unmerged(renewed: Renewed) -> None:
    assert list(unmerged(renewed.after)) == []


def test_an_update_brings_new_files_and_takes_old_ones_away(updated: Renewed) -> None:
    assert (updated.after / "chassis/src/chassis/next_release.py").exists()
    assert (updated.after / "deploy/next/one.yaml").exists()
    assert not (updated.after / ".editorconfig").exists()


def test_merged_files_have_the_lines_of_both(updated: Renewed) -> None:
    for path in (".gitignore", "pyproject.toml"):
        assert MARK in updated.text(path)
        assert CHANGED in updated.text(path)
    assert tomllib.loads(updated.text("pyproject.toml"))["tool"]["chassis"]["layout"] == "next"


def test_a_recopy_leaves_merged_files_alone(recopied: Renewed) -> None:
    for path in (".gitignore", "pyproject.toml"):
        assert recopied.text(path) == (recopied.before / path).read_text(encoding="utf-8")


def test_an_answer_stays_when_the_default_changes_and_a_new_question_takes_its_default(
    renewed: Renewed, rendered: Render, releases: Releases
) -> None:
    answers = recorded(renewed.after)
    assert answers == recorded(rendered(releases.present)) | {
        "_commit": releases.following,
        "on_call": "nobody",
    }
    assert releases.questions(releases.following)["port"]["default"] != answers["port"]


def test_a_file_that_is_handed_over_stays_and_a_folder_keeps_the_owners_files(
    updated: Renewed, update: Update, releases: Releases, tmp_path: Path
) -> None:
    service = copy_of(updated.after, tmp_path / "service")
    commit(service, "Update")
    update(service, to=releases.last)
    assert list(unmerged(service)) == []
    assert CHANGED in (service / HANDED_OVER).read_text(encoding="utf-8")
    assert not (service / "deploy/next/one.yaml").exists()
    assert (service / "deploy/next/own.yaml").exists()


# --- What is chosen or dropped later ---


def test_a_bundle_that_is_chosen_later_brings_its_seeds_once(
    service: Path, update: Update, releases: Releases
) -> None:
    with_requirements(service, "aiofiles>=24", "zeep>=4", "uvloop", "wheel")
    update(service, to=releases.present, data={"bundles": ["database"]})
    assert list(unmerged(service)) == []
    assert (service / "migrations/env.py").exists()
    assert (service / "tests/test_migrations.py").exists()
    assert not (service / PACKAGE / "items/models.py").exists()
    needed = tomllib.loads((service / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    assert {"aiofiles>=24", "zeep>=4", "uvloop", "wheel"} < set(needed)
    assert any(item.startswith("vendored-chassis[") and "database" in item for item in needed)

    (service / "migrations/versions/0001_items.py").unlink()
    (service / "tests/test_migrations.py").write_text(MARK, encoding="utf-8")
    commit(service, "Work with the database")
    update(service, to=releases.following)
    assert list(unmerged(service)) == []
    assert not (service / "migrations/versions/0001_items.py").exists()
    assert (service / "tests/test_migrations.py").read_text(encoding="utf-8") == MARK
    assert CHANGED not in (service / "migrations/env.py").read_text(encoding="utf-8")


def with_requirements(service: Path, *requirements: str) -> None:
    """Let uv add requirements, as an owner does, and commit."""
    uv = Path(sys.executable).parent / "uv"
    for requirement in requirements:
        command = [str(uv), "add", "--frozen", "--offline", "--quiet", requirement]
        subprocess.run(command, cwd=service, check=True, capture_output=True)
    commit(service, "Requirements")


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


# --- Where the template and the service are ---


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


# --- What is in the tree ---


def test_a_checkout_with_windows_line_endings_merges(
    service: Path, update: Update, releases: Releases, rendered: Render
) -> None:
    for path in ("Makefile", "pyproject.toml", ".gitignore", "README.md", f"{PACKAGE}/app.py"):
        file = service / path
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    with (service / "pyproject.toml").open("ab") as opened:
        opened.write(MARK.encode().replace(b"\n", b"\r\n"))
    commit(service, "Windows")
    update(service, to=releases.following)
    assert list(unmerged(service)) == []
    assert MARK.strip() in (service / "pyproject.toml").read_text(encoding="utf-8")
    fresh = rendered(releases.following, "as-before", **answers_of(rendered(releases.present)))
    assert (service / "Makefile").read_bytes() == (fresh / "Makefile").read_bytes()


@pytest.mark.parametrize("path", ["README.md", "new.txt"])
def test_a_tree_with_uncommitted_work_is_refused(
    service: Path, update: Update, releases: Releases, path: str
) -> None:
    (service / path).write_text(MARK, encoding="utf-8")
    before = contents(service)
    with pytest.raises(UserMessageError, match="dirty"):
        update(service, to=releases.following)
    assert contents(service) == before


def test_nothing_is_rendered_that_an_update_would_overwrite_or_revert(
    rendered: Render, releases: Releases
) -> None:
    for name, answers in {"default": {}, "database": {"bundles": ["database"]}}.items():
        service = rendered(releases.present, name, **answers)
        paths = list(contents(service))
        assert git(service, "ls-files", "--cached", "--ignored", "--exclude-standard") == ""
        assert "uv.lock" not in paths
        for path in paths:
            assert b"\0" not in (service / path).read_bytes(), f"{path} is binary"


def test_choices_are_only_ever_appended(releases: Releases) -> None:
    versions = [*releases.released, releases.present]
    for older, newer in itertools.pairwise(versions):
        before, after = releases.questions(older), releases.questions(newer)
        for name, question in before.items():
            if not name.startswith("_") and question.get("multiselect") and name in after:
                kept = list(question["choices"].values())
                assert list(after[name]["choices"].values())[: len(kept)] == kept


def test_what_is_left_out_is_told_without_any_other_file_of_the_template(releases: Releases) -> None:
    # An update renders the new list in the folder of the old version, where a new file or macro is missing.
    patterns = releases.questions(releases.present)["_exclude"]
    assert [pattern for pattern in patterns if "import" in pattern or "include" in pattern] == []


def test_every_question_has_a_default_and_every_pattern_of_ours_is_anchored(releases: Releases) -> None:
    settings = releases.questions(releases.present)
    assert [
        name for name, question in settings.items() if not name.startswith("_") and "default" not in question
    ] == []
    assert [pattern for pattern in settings["_skip_if_exists"] if not pattern.startswith("/")] == []
    assert not {"_tasks", "_jinja_extensions"} & settings.keys()
