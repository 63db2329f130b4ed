"""Services of 0.1 take the migration to 0.2.0 on the real template, whatever their owners added."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copier.errors import UnsafeTemplateError
from promises import contents, unmerged
from releases import Releases, commit, git

# A loaded machine is slow, not wrong.
pytestmark = pytest.mark.timeout(600)

FIRST, MIGRATED, REMOVED = "0.1.0", "0.2.0", "0.3.0"
# They sort before, between and after the lines of the template.
TOOLS = ["aiosmtpd", "pytest-mock", "types-aiofiles", "zest"]


@pytest.fixture
def service(rendered: Callable[..., Path], releases: Releases, tmp_path: Path) -> Path:
    """A service of the first release, with requirements beside each line of the template."""
    assert releases.crosses_migration(FIRST, releases.present)
    folder = Path(shutil.copytree(rendered(FIRST), tmp_path / "service", symlinks=True))
    uv = [str(Path(sys.executable).parent / "uv"), "add", "--frozen", "--offline", "--quiet"]
    for arguments in (
        ["aiofiles>=24", "zeep>=4"],
        ["--dev", "aiosmtpd", "pytest-mock", "types-aiofiles", "zest"],
    ):
        subprocess.run([*uv, *arguments], cwd=folder, check=True, capture_output=True)
    change(folder, 'version = "0.1.0"', 'version = "4.2.0"')
    return folder


def change(service: Path, old: str, new: str) -> None:
    """Change pyproject.toml and commit."""
    file = service / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    commit(service)


def project(service: Path) -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((service / "pyproject.toml").read_text(encoding="utf-8"))


def test_an_update_across_it_merges_what_lines_cannot(
    service: Path, update: Callable[..., None], releases: Releases
) -> None:
    chosen = {"bundles": ["database"], "description": "Another description."}
    update(service, to=releases.present, unsafe=True, data=chosen)
    assert list(unmerged(service)) == []
    assert git(service, "diff", "--cached", "--name-only") == ""
    now = project(service)
    assert now["project"]["version"] == "4.2.0"
    assert now["project"]["description"] == "Another description."
    needed, dev = now["project"]["dependencies"], now["dependency-groups"]["dev"]
    assert {"aiofiles>=24", "zeep>=4", "fastapi", "pydantic"} < set(needed)
    assert [item for item in needed if "chassis" in item and "database" in item] != []
    assert {"aiosmtpd", "pytest-mock", "types-aiofiles", "zest", "vendored-chassis[checks,testing]"} <= set(
        dev
    )
    assert [item for item in dev if item.startswith(("mypy", "ruff"))] == []
    assert (service / "docs/runbooks/database-queries-slow.md").exists()
    assert (service / "deploy/kubernetes/base/migration.yaml").exists()


def test_before_it_a_bundle_conflicts_with_a_dependency_beside_the_chassis(
    service: Path, update: Callable[..., None]
) -> None:
    update(service, to=FIRST, data={"bundles": ["database"]})
    assert "pyproject.toml" in "".join(unmerged(service))


def test_an_owner_with_another_linter_keeps_it_and_is_told(
    service: Path, update: Callable[..., None], releases: Releases, capfd: pytest.CaptureFixture[str]
) -> None:
    change(service, '"ruff==', '"ruff>=')
    before = project(service)["dependency-groups"]["dev"]
    update(service, to=releases.present, unsafe=True)
    assert list(unmerged(service)) == []
    assert project(service)["dependency-groups"]["dev"] == before
    assert f"Migration {MIGRATED}: pyproject.toml: the group dev wants" in capfd.readouterr().err


def test_files_of_a_bundle_that_was_not_chosen_go_and_an_edited_one_stays_and_is_told(
    service: Path, update: Callable[..., None], releases: Releases, capfd: pytest.CaptureFixture[str]
) -> None:
    page = service / "docs/runbooks/database-queries-slow.md"
    page.write_text(f"{page.read_text(encoding='utf-8')}Call Ada.\n", encoding="utf-8")
    commit(service)
    about = [path for path in contents(service) if "database" in path and not path.startswith("chassis/")]
    assert len(about) == 7
    update(service, to=releases.present, unsafe=True)
    assert list(unmerged(service)) == []
    assert git(service, "diff", "--cached", "--name-only") == ""
    left = [path for path in about if (service / path).exists()]
    assert left == ["docs/runbooks/database-queries-slow.md"]
    assert page.read_text(encoding="utf-8").endswith("Call Ada.\n")
    assert not (service / "deploy/kubernetes/base/migration.yaml").exists()
    said = capfd.readouterr().err
    assert f"Migration {REMOVED}: {left[0]}: it is not as {FIRST} rendered it" in said
    assert said.count("removed, because nothing uses it without the bundle database") == 7


def test_only_an_update_across_it_asks_for_trust(
    service: Path, update: Callable[..., None], releases: Releases
) -> None:
    before = contents(service)
    with pytest.raises(UnsafeTemplateError, match="migrations"):
        update(service, to=releases.present)
    assert contents(service) == before
    assert not releases.crosses_migration(releases.present, releases.last)
