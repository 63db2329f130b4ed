"""The release names itself, and its digest changes with its files alone."""

import tomllib
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from chassis import release

PROJECT = Path(release.__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    package = tmp_path / "chassis"
    (package / "inner").mkdir(parents=True)
    (package / "a.py").write_bytes(b"a = 1\n")
    (package / "inner" / "b.py").write_bytes(b"b = 2\n")
    return package


def _digest(directory: Path) -> str:
    return release.digest.__wrapped__(directory)


def test_the_version_is_that_of_the_distribution() -> None:
    assert tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"] == release.VERSION


def test_the_release_time_is_in_utc() -> None:
    assert release.RELEASED_AT.tzinfo is UTC
    assert datetime(2026, 1, 1, tzinfo=UTC) < release.RELEASED_AT


def test_the_digest_of_the_installed_package_is_a_sha_256() -> None:
    assert len(release.digest()) == 64
    assert release.digest() == _digest(Path(release.__file__).parent)


def test_the_digest_is_that_of_the_documented_recipe(tree: Path) -> None:
    expected = sha256()
    for name, content in (("a.py", b"a = 1\n"), ("inner/b.py", b"b = 2\n")):
        expected.update(name.encode() + b"\0" + sha256(content).digest())
    assert _digest(tree) == expected.hexdigest()


@pytest.mark.parametrize(
    "name", ["__pycache__/a.pyc", "inner/__pycache__/b.txt", ".hidden", ".cache/x", "c.pyc"]
)
def test_caches_and_hidden_files_do_not_count(tree: Path, name: str) -> None:
    before = _digest(tree)
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_bytes(b"x")
    assert _digest(tree) == before


def test_contents_names_and_new_files_count(tree: Path) -> None:
    digests = [_digest(tree)]
    (tree / "a.py").write_bytes(b"a = 2\n")
    digests.append(_digest(tree))
    (tree / "a.py").rename(tree / "c.py")
    digests.append(_digest(tree))
    (tree / "py.typed").touch()
    digests.append(_digest(tree))
    assert len(set(digests)) == 4
