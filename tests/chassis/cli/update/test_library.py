"""Whether the library is the released one."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from chassis import release
from chassis.cli.update.library import examine

LIBRARY = "chassis/src/chassis"


@pytest.fixture
def released(service: Path, write: Callable[..., None]) -> Path:
    """A service whose library has a record."""
    package = service / LIBRARY
    files = {file.name: sha256(file.read_bytes()).hexdigest() for file in package.iterdir()}
    record = {"releases": [{"version": "0.1.0", "digest": release.digest(package)}], "files": files}
    write(service, {"chassis/releases.json": json.dumps(record)})
    release.digest.cache_clear()
    return service


def test_untouched(released: Path) -> None:
    (released / LIBRARY / "__pycache__").mkdir()
    (released / LIBRARY / "__pycache__/x.pyc").touch()
    found = examine(released)
    assert found.is_released
    assert (found.version, found.changes, found.reason) == ("0.1.0", {}, "")


def test_what_was_changed_added_and_removed(released: Path) -> None:
    (released / LIBRARY / "context.py").write_text("context = 2\n")
    (released / LIBRARY / "release.py").unlink()
    (released / LIBRARY / "sub").mkdir()
    (released / LIBRARY / "sub/mine.py").touch()
    found = examine(released)
    assert not found.is_released
    assert {path: str(state) for path, state in found.changes.items()} == {
        f"{LIBRARY}/context.py": "edited",
        f"{LIBRARY}/release.py": "removed",
        f"{LIBRARY}/sub/mine.py": "added",
    }


def test_a_digest_that_was_changed_in_the_record(released: Path) -> None:
    record = released / "chassis/releases.json"
    record.write_text(record.read_text().replace('"digest": "', '"digest": "0'))
    found = examine(released)
    assert (found.is_released, found.changes) == (False, {})


def test_without_a_record(service: Path) -> None:
    assert "comes from no release" in examine(service).reason


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"releases": []}', '{"releases": [{"version": "0.1.0"}]}']
)
def test_a_record_that_cannot_be_read(service: Path, write: Callable[..., None], text: str) -> None:
    write(service, {"chassis/releases.json": text})
    found = examine(service)
    assert "restore it with git" in found.reason
    assert not found.is_released
