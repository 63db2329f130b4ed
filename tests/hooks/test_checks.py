"""The summary of `make test` counts what pytest recorded, and fails when a step fails."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = """<?xml version="1.0"?>
<testsuites><testsuite tests="7" failures="1" errors="1" skipped="2"/></testsuites>
"""


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module hooks/checks.py, with a report and steps of its own."""
    spec = importlib.util.spec_from_file_location("checks", ROOT / "hooks" / "checks.py")
    if spec is None or spec.loader is None:
        pytest.fail("hooks/checks.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "REPORT", tmp_path / "build" / "tests.xml")
    monkeypatch.setattr(module, "STEPS", {"good": [sys.executable, "-c", "print('quiet')"]})
    return module


def test_the_last_line_counts_what_was_recorded(checks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "tests.xml").write_text(REPORT, encoding="utf-8")
    assert list(checks.count()) == ["3 passed, 2 failed"]


def test_nothing_is_counted_when_nothing_was_recorded(
    checks: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checks.main() == 0
    shown = capsys.readouterr().out
    assert "[1/1] good ... ok" in shown
    assert "all good" in shown
    assert "quiet" not in shown
    assert "passed," not in shown


def test_a_failed_step_shows_its_output_and_does_not_hide_the_next(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    monkeypatch.setattr(checks, "STEPS", {"bad": bad, "good": [sys.executable, "-c", ""]})
    assert checks.main() == 1
    shown = capsys.readouterr().out
    assert "the reason" in shown
    assert "[2/2] good ... ok" in shown
    assert "failed: bad" in shown
