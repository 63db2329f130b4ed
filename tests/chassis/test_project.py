"""Which service a directory holds."""

import sys
from pathlib import Path

import pytest

from chassis.project import ServiceNotFoundError, ServiceReference, find_service, load_object


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.chassis]\npackage = "orders"\n')
    (tmp_path / "deep/er").mkdir(parents=True)
    return tmp_path


def test_nearest_project_that_names_a_package(root: Path) -> None:
    (root / "deep/pyproject.toml").write_text('[project]\nname = "vendored"\n')
    found = find_service(root / "deep/er", {})
    assert found == ServiceReference("orders", root)
    assert (found.settings, found.app) == ("orders.settings:Settings", "orders.app:create_app")


def test_variable_decides(root: Path) -> None:
    assert find_service(root / "deep", {"SERVICE_PACKAGE": "bills"}) == ServiceReference("bills", root)


def test_variable_without_a_project(tmp_path: Path) -> None:
    found = find_service(tmp_path, {"SERVICE_PACKAGE": "bills"})
    assert found.package == "bills"


def test_environment_of_the_process_by_default(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PACKAGE", "bills")
    assert find_service(root).package == "bills"


def test_no_service(tmp_path: Path) -> None:
    with pytest.raises(ServiceNotFoundError, match="SERVICE_PACKAGE"):
        find_service(tmp_path, {})


@pytest.mark.parametrize("text", ["[tool.chassis]\npackage = 5\n", "[tool]\n", ""])
def test_project_that_names_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ServiceNotFoundError, match="no service in"):
        find_service(tmp_path, {})


def test_broken_project_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool\n")
    with pytest.raises(ServiceNotFoundError, match=r"pyproject\.toml cannot be read"):
        find_service(tmp_path, {})


class TestLoadObject:
    def test_from_the_source_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "src/only_here_once.py").write_text("value = 7\n")
        monkeypatch.setattr(sys, "path", [*sys.path])
        assert load_object("only_here_once:value", tmp_path) == 7
        assert load_object("only_here_once:value", tmp_path) == 7
        assert sys.path.count(str(tmp_path / "src")) == 1
        del sys.modules["only_here_once"]

    def test_from_the_directory_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "only_here_too.py").write_text("value = 8\n")
        monkeypatch.setattr(sys, "path", [*sys.path])
        assert load_object("only_here_too:value", tmp_path) == 8
        assert sys.path[-1] == str(tmp_path)
        del sys.modules["only_here_too"]

    @pytest.mark.parametrize("reference", ["json", "json:", ":dumps"])
    def test_form(self, reference: str) -> None:
        with pytest.raises(ServiceNotFoundError, match="must have the form"):
            load_object(reference)

    @pytest.mark.parametrize(
        ("reference", "words"),
        [
            ("nowhere.at.all:x", "no module nowhere"),
            ("json.nowhere:x", "no module json.nowhere"),
            ("json:x", "has no x"),
        ],
    )
    def test_missing(self, reference: str, words: str) -> None:
        with pytest.raises(ServiceNotFoundError, match=words):
            load_object(reference)

    def test_import_error_of_the_module_is_its_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "broken_once.py").write_text("import not_installed_anywhere\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
            load_object("broken_once:x")
