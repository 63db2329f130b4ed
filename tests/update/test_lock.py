"""`uv.lock` through an update: locked by the real uv, against an index in a folder."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from index import fill
from promises import contents
from releases import Releases, commit, git

# A loaded machine is slow, not wrong.
pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("alone", "in_process", "index")]

UV = Path(sys.executable).parent / "uv"
# What the made-up next release asks of a dependency.
RENEWED = "!=3.0.0"

Render = Callable[..., Path]
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def index(alone: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let uv find packages in a folder alone; one of them also in a version that the chassis cannot use."""
    folder = fill(tmp_path_factory.mktemp("index") / "wheels", sqlalchemy="1.4.54", aiofiles="24.1.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_NO_INDEX", "1")
        patch.setenv("UV_FIND_LINKS", str(folder))
        patch.setenv("UV_PYTHON", sys.executable)
        yield


def uv(service: Path, *arguments: str) -> None:
    done = subprocess.run([UV, *arguments], cwd=service, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def lock_of(service: Path) -> str:
    return (service / "uv.lock").read_text(encoding="utf-8")


@pytest.fixture
def locked(service: Path) -> Path:
    """A service that commits its lock."""
    uv(service, "lock")
    commit(service, "Lock")
    return service


def test_a_service_beside_a_workspace_has_a_lock_of_its_own(
    rendered: Render, releases: Releases, run: Run, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    service = repository / "services" / "orders"
    shutil.copytree(rendered(releases.present), service, ignore=shutil.ignore_patterns(".git"))
    library = repository / "libraries" / "shared"
    library.mkdir(parents=True)
    (library / "pyproject.toml").write_text(
        '[project]\nname = "shared"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["sqlalchemy<2"]\n'
    )
    (repository / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["libraries/*"]\n')
    uv(repository, "lock")
    uv(service, "lock")
    assert "vendored-chassis" not in lock_of(repository)
    commit(repository, "Begin")

    result = run(service, "--to", releases.following)

    assert (result["status"], result["lock"]) == ("updated", "renewed")
    changed = git(repository, "diff", "--name-only", f"HEAD..{result['branch']}").splitlines()
    assert "services/orders/uv.lock" in changed
    assert [path for path in changed if not path.startswith("services/orders/")] == []


def test_a_lock_that_changed_on_both_sides_is_either_one_and_locked_again(
    locked: Path, releases: Releases, run: Run
) -> None:
    result = run(locked, "--to", releases.following)
    assert result["lock"] == "renewed"
    uv(locked, "add", "--no-sync", "aiofiles")
    commit(locked, "A dependency")

    merged = subprocess.run(
        ["git", "merge", "--no-edit", result["branch"]], cwd=locked, capture_output=True, check=False
    )

    # As docs/how-to/update.md says: take either side, and lock.
    if merged.returncode != 0:
        assert git(locked, "diff", "--name-only", "--diff-filter=U").split() == ["uv.lock"]
        git(locked, "checkout", "--ours", "uv.lock")
    uv(locked, "lock")
    assert "aiofiles" in lock_of(locked)
    assert RENEWED in lock_of(locked)
    uv(locked, "lock", "--check")


def test_a_dependency_that_conflicts_with_a_bundle_only_does_so_when_it_is_chosen(
    locked: Path, releases: Releases, run: Run
) -> None:
    uv(locked, "add", "--no-sync", "sqlalchemy<2")
    commit(locked, "An old dependency")
    before = contents(locked)

    assert run(locked, "--to", releases.following)["lock"] == "renewed"
    failed = run(locked, "--data", "bundles=[database]", code=1)

    assert "do not fit together" in failed["error"]
    assert "sqlalchemy" in failed["output"]
    assert contents(locked) == before
