"""The closing summary of `make test-ops`: no test is left out without a word."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

PASSED = '<testcase classname="tests.ops.x" name="test_a"/>'
FAILED = '<testcase classname="tests.ops.x" name="test_b"><failure message="no"/></testcase>'
BROKEN = '<testcase classname="tests.ops.x" name="test_c"><error message="no"/></testcase>'
SKIPPED = '<testcase classname="tests.ops.x" name="test_d"><skipped message="{}"/></testcase>'


@pytest.fixture(scope="module")
def ops(pytestconfig: pytest.Config) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ops", pytestconfig.rootpath / "hooks" / "ops.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def summary(ops: ModuleType, folder: Path, *cases: str) -> tuple[list[str], bool]:
    report = folder / "tests.xml"
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8")
    lines, good = ops.summary(report)
    return lines, good


def test_all_is_well_when_every_test_passed(ops: ModuleType, tmp_path: Path) -> None:
    assert summary(ops, tmp_path, PASSED, PASSED) == (["2 passed, 0 failed, 0 skipped"], True)


@pytest.mark.parametrize("bad", [FAILED, BROKEN])
def test_a_failure_is_counted(ops: ModuleType, tmp_path: Path, bad: str) -> None:
    lines, good = summary(ops, tmp_path, PASSED, bad)
    assert lines == ["1 passed, 1 failed, 0 skipped"]
    assert not good


def test_a_skip_with_an_allowed_reason_is_named(ops: ModuleType, tmp_path: Path) -> None:
    lines, good = summary(ops, tmp_path, PASSED, SKIPPED.format("needs a container engine: no root"))
    assert lines == ["1 passed, 0 failed, 1 skipped", "  skipped x.test_d: needs a container engine: no root"]
    assert good


@pytest.mark.parametrize("reason", ["", "later", "needs time"])
def test_any_other_skip_fails(ops: ModuleType, tmp_path: Path, reason: str) -> None:
    lines, good = summary(ops, tmp_path, PASSED, SKIPPED.format(reason))
    assert "x.test_d" in lines[-1]
    assert not good


def test_no_test_at_all_fails(ops: ModuleType, tmp_path: Path) -> None:
    lines, good = summary(ops, tmp_path)
    assert lines[-1] == "No test ran."
    assert not good


def test_what_is_installed_is_an_exact_version(pytestconfig: pytest.Config) -> None:
    tests = pytestconfig.rootpath / "tests" / "ops"
    lines = [
        line for file in tests.rglob("requirements.txt") for line in file.read_text("utf-8").splitlines()
    ]
    assert [line for line in lines if not re.fullmatch(r"#.*|[a-z0-9-]+==[0-9.]+", line)] == []
    named = [json.loads(file.read_text("utf-8"))["dependencies"] for file in tests.rglob("package.json")]
    assert [
        version for one in named for version in one.values() if not re.fullmatch(r"[0-9.]+", version)
    ] == []


def test_whatever_is_marked_for_it_lies_where_it_looks(ops: ModuleType, pytestconfig: pytest.Config) -> None:
    mark = "pytest.mark." + "ops"
    root = pytestconfig.rootpath
    marked = [file for file in (root / "tests").rglob("test_*.py") if mark in file.read_text("utf-8")]
    searched = [root / folder for folder in ops.FOLDERS_OF_TESTS]
    assert marked
    assert [file for file in marked if not any(file.is_relative_to(folder) for folder in searched)] == []
