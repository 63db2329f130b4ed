"""Secret files as Docker and Kubernetes lay them out."""

from pathlib import Path

import pytest

from chassis.secrets import SecretFiles, SecretSourceError


def test_missing_directory_holds_nothing(tmp_path: Path) -> None:
    assert dict(SecretFiles(tmp_path / "none").fetch()) == {}
    (tmp_path / "file").touch()
    assert dict(SecretFiles(tmp_path / "file").fetch()) == {}


def test_kubernetes_volume(tmp_path: Path) -> None:
    version = tmp_path / "..2026_01_01"
    version.mkdir()
    (version / "KEY").write_text("\ufeffvalue\n")
    (tmp_path / "..data").symlink_to(version)
    (tmp_path / "KEY").symlink_to(tmp_path / "..data" / "KEY")
    (tmp_path / "kubernetes.io").mkdir()
    (tmp_path / ".hidden").write_text("value")
    found = SecretFiles(tmp_path).fetch()
    assert (dict(found), len(found)) == ({"KEY": "value"}, 1)


def test_large_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "KEY").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(SecretSourceError, match="KEY is larger than 1048576 bytes"):
        dict(SecretFiles(tmp_path).fetch())


def test_file_that_vanishes(tmp_path: Path) -> None:
    (tmp_path / "KEY").touch()
    found = SecretFiles(tmp_path).fetch()
    (tmp_path / "KEY").unlink()
    with pytest.raises(SecretSourceError, match="KEY cannot be read: No such file"):
        found["KEY"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "KEY").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretSourceError, match="must be UTF-8 text") as caught:
        dict(SecretFiles(tmp_path).fetch())
    assert caught.value.__context__ is None
