"""What a changed answer leaves to do by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.cli.update.advice import advise, pointing_at_nothing
from chassis.cli.update.ownership import Ownership

Write = Callable[[Path, dict[str, str]], None]

PLAIN = {
    "src/orders/app.py": "from chassis import app\n\nbundles = []\n",
    "src/orders/settings.py": "class Settings:\n    pass\n",
    "pyproject.toml": 'dependencies = [\n    "vendored-chassis[tracing]",\n]\n',
    "deploy/kubernetes/base/service.yaml": "# base\n",
}
STORED = {
    "src/orders/app.py": "from chassis.bundles.database import Database\n\nbundles = [Database]\n",
    "src/orders/settings.py": "class Settings:\n    pass\n",
    "src/orders/models.py": "from chassis.bundles.database import Base\n",
    "pyproject.toml": 'dependencies = [\n    "vendored-chassis[database,tracing]",\n]\n',
    "migrations/env.py": "run\n",
    "tests/test_migrations.py": "test\n",
    "deploy/kubernetes/base/service.yaml": "# base\n",
}


@pytest.fixture
def folders(tmp_path: Path, write: Write) -> tuple[Path, Path, Path]:
    """A render without and with the database, and a service."""
    plain, stored, service = tmp_path / "plain", tmp_path / "stored", tmp_path / "orders"
    write(plain, PLAIN)
    write(stored, STORED)
    return plain, stored, service


@pytest.fixture
def ownership(service: Path) -> Ownership:
    return Ownership.read(service)


def test_what_to_add_for_a_new_bundle(folders: tuple[Path, Path, Path], write: Write) -> None:
    plain, stored, service = folders
    write(service, {**PLAIN, "pyproject.toml": STORED["pyproject.toml"]})
    (text,) = advise(plain, stored, "orders", service)
    assert text.splitlines()[:2] == ["--- src/orders/app.py", "+++ src/orders/app.py"]
    assert "+from chassis.bundles.database import Database" in text.splitlines()
    assert "-bundles = []" in text.splitlines()


def test_what_to_remove_for_a_dropped_one(folders: tuple[Path, Path, Path], write: Write) -> None:
    plain, stored, service = folders
    write(service, {**STORED, "src/orders/app.py": "# mine\n" + STORED["src/orders/app.py"]})
    told = advise(stored, plain, "orders", service)
    assert [text.splitlines()[0] for text in told] == ["--- src/orders/app.py", "--- pyproject.toml"]
    assert "-from chassis.bundles.database import Database" in told[0].splitlines()


def test_what_the_service_has_already_is_not_told(folders: tuple[Path, Path, Path], write: Write) -> None:
    plain, stored, service = folders
    write(service, STORED)
    assert advise(plain, stored, "orders", service) == []


def test_what_points_at_nothing_after_a_bundle_was_dropped(
    folders: tuple[Path, Path, Path], ownership: Ownership, write: Write
) -> None:
    plain, stored, service = folders
    mine = {
        "migrations/versions/0007_mine.py": "mine\n",
        "src/orders/reports.py": "import chassis.bundles.database\n",
        "src/orders/other.py": "import chassis.bundles.database_of_mine\n",
        "src/orders/notes.txt": "chassis.bundles.database\n",
        "chassis/src/chassis/uses.py": "import chassis.bundles.database\n",
    }
    write(service, {**STORED, **mine})
    (service / "tests/test_migrations.py").unlink()
    (service / "src/orders/broken.py").write_bytes(b"\xff")
    tracked = [*STORED, *mine, "src/orders/broken.py"]
    assert pointing_at_nothing(stored, plain, ownership, service, tracked) == [
        "migrations/env.py",
        "migrations/versions/0007_mine.py",
        "src/orders/app.py",
        "src/orders/models.py",
        "src/orders/reports.py",
    ]


def test_what_points_at_nothing_after_a_deployment_was_dropped(
    tmp_path: Path, ownership: Ownership, write: Write
) -> None:
    before, after, service = tmp_path / "before", tmp_path / "after", tmp_path / "orders"
    overlay = {"deploy/kubernetes/overlays/staging/kustomization.yaml": "x\n"}
    write(before, {**PLAIN, **overlay})
    write(after, {path: text for path, text in PLAIN.items() if not path.startswith("deploy/")})
    mine = {"deploy/kubernetes/overlays/canary/kustomization.yaml": "x\n"}
    write(service, {**PLAIN, **overlay, **mine})
    assert pointing_at_nothing(before, after, ownership, service, [*PLAIN, *overlay, *mine]) == [
        *mine,
        *overlay,
    ]


def test_a_service_without_the_entry_of_the_chassis(
    folders: tuple[Path, Path, Path], ownership: Ownership, write: Write
) -> None:
    plain, _, service = folders
    write(plain, {"pyproject.toml": "dependencies = []\n"})
    assert pointing_at_nothing(plain, plain, ownership, service, []) == []
