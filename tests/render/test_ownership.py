"""What is yours stays yours: an update and a recopy never overwrite, resurrect or delete it."""

import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

YOURS = [
    "src/example_service/app.py",
    "src/example_service/settings.py",
    "src/example_service/items/router.py",
    "tests/test_items.py",
    "config/service.yaml",
    "deploy/kubernetes/overlays/production/kustomization.yaml",
    "README.md",
    "mypy.ini",
    "pytest.toml",
    "ruff.toml",
]
MERGED = ["pyproject.toml", ".gitignore"]
OURS = [
    "Makefile",
    "SECURITY.md",
    "config/defaults.yaml",
    "tests/test_conformance.py",
    "deploy/kubernetes/base/service.yaml",
]
MARK = "# edited by the owner\n"


@pytest.fixture(scope="module")
def changed_template(slim_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template whose next version changes every file."""
    folder = tmp_path_factory.mktemp("changed") / "template"
    git(slim_template, "clone", "--quiet", str(slim_template), str(folder))
    for file in (folder / "template").rglob("*"):
        if (
            file.is_file()
            and "chassis" not in file.relative_to(folder / "template").parts
            and file.suffix != ".mako"
        ):
            file.write_text(changed(file.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "template" / "src" / "{{package_name}}" / "extra.py").write_text(
        '"""New."""\n', encoding="utf-8"
    )
    commit(folder)
    git(folder, "tag", "9.2.0")
    return folder


def changed(text: str) -> str:
    """A new version of a file: one more line after the first."""
    first, newline, rest = text.partition("\n")
    return f"{first}{newline}# changed by the template\n{rest}"


@pytest.fixture(scope="module")
def edited(changed_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service of the old version, in which the owner edited and deleted."""
    folder = tmp_path_factory.mktemp("edited") / "service"
    copier.run_copy(str(changed_template), folder, vcs_ref="9.1.0", defaults=True, quiet=True)
    for path in YOURS + MERGED:
        with (folder / path).open("a", encoding="utf-8") as opened:
            opened.write(MARK)
    (folder / "src" / "example_service" / "items" / "schemas.py").unlink()
    (folder / "mine.py").write_text(MARK, encoding="utf-8")
    commit(folder)
    return folder


@pytest.fixture
def service(edited: Path, tmp_path: Path) -> Path:
    """A copy of the edited service, to do something with."""
    return Path(shutil.copytree(edited, tmp_path / "service"))


@pytest.fixture(scope="module", params=["update", "recopy"])
def renewed(
    request: pytest.FixtureRequest, edited: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """The service after an update or a recopy to the new version."""
    service = Path(shutil.copytree(edited, tmp_path_factory.mktemp("renewed") / "service"))
    if request.param == "update":
        copier.run_update(service, defaults=True, overwrite=True, quiet=True)
    else:
        copier.run_recopy(service, defaults=True, overwrite=True, quiet=True)
    return request.param, service


def test_your_files_are_as_you_left_them(renewed: tuple[str, Path]) -> None:
    _, service = renewed
    touched = git(service, "diff", "--name-only", "HEAD", "--", *YOURS, "src", "mine.py")
    assert touched == ""


def test_what_you_deleted_stays_deleted(renewed: tuple[str, Path]) -> None:
    _, service = renewed
    assert not (service / "src" / "example_service" / "items" / "schemas.py").exists()


def test_nothing_new_is_seeded_into_your_package(renewed: tuple[str, Path]) -> None:
    _, service = renewed
    assert not (service / "src" / "example_service" / "extra.py").exists()


def test_the_templates_files_are_the_new_ones(renewed: tuple[str, Path]) -> None:
    _, service = renewed
    assert [
        path
        for path in OURS
        if "# changed by the template" not in (service / path).read_text(encoding="utf-8")
    ] == []


def test_merged_files_keep_your_lines_and_an_update_brings_the_new(renewed: tuple[str, Path]) -> None:
    operation, service = renewed
    for path in MERGED:
        text = (service / path).read_text(encoding="utf-8")
        assert MARK in text
        assert ("# changed by the template" in text) is (operation == "update")


def test_nothing_is_left_unmerged(renewed: tuple[str, Path]) -> None:
    _, service = renewed
    assert git(service, "ls-files", "-u") == ""
    for file in texts(service):
        assert "<<<<<<<" not in file.read_text(encoding="utf-8"), file
    assert list(service.rglob("*.rej")) == []


def test_the_seeds_of_a_bundle_arrive_once_and_never_again(changed_template: Path, service: Path) -> None:
    copier.run_update(
        service, data={"bundles": ["database"]}, vcs_ref="9.1.0", defaults=True, overwrite=True, quiet=True
    )
    assert (service / "migrations" / "env.py").exists()
    assert "vendored-chassis[database,tracing]" in (service / "pyproject.toml").read_text(encoding="utf-8")
    assert git(service, "ls-files", "-u") == ""
    (service / "migrations" / "env.py").write_text(MARK, encoding="utf-8")
    (service / "tests" / "test_migrations.py").unlink()
    commit(service)
    copier.run_update(service, defaults=True, overwrite=True, quiet=True)
    assert (service / "migrations" / "env.py").read_text(encoding="utf-8") == MARK
    assert not (service / "tests" / "test_migrations.py").exists()


def test_overlays_arrive_when_kubernetes_is_chosen_later(changed_template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    copier.run_copy(
        str(changed_template), folder, data={"deployment": "none"}, vcs_ref="9.1.0", defaults=True, quiet=True
    )
    commit(folder)
    copier.run_update(folder, data={"deployment": "kubernetes"}, defaults=True, overwrite=True, quiet=True)
    assert (folder / "deploy" / "kubernetes" / "overlays" / "staging" / "kustomization.yaml").exists()


def test_a_copy_over_nothing_warns_of_nothing(slim_template: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copier.run_copy(str(slim_template), tmp_path / "new", defaults=True, quiet=True)


def test_a_copy_asks_for_no_trust(slim_template: Path) -> None:
    settings: dict[str, Any] = yaml.safe_load((slim_template / "copier.yml").read_text(encoding="utf-8"))
    assert not {"_tasks", "_jinja_extensions"} & settings.keys()


def texts(folder: Path) -> Iterator[Path]:
    """Every file of a service outside git and the library."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not {".git", "chassis"} & set(file.relative_to(folder).parts[:1]):
            yield file


def git(folder: Path, *arguments: str) -> str:
    """Run git without anyone's configuration."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def commit(folder: Path) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "change")
