"""The summary of `make test` counts what pytest recorded, and fails when a step fails."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
IGNORED = shutil.ignore_patterns("__pycache__")
REPORT = """<?xml version="1.0"?>
<testsuites><testsuite tests="7" failures="1" errors="1" skipped="2"/></testsuites>
"""


@pytest.fixture
def real() -> ModuleType:
    """The module hooks/checks.py."""
    spec = importlib.util.spec_from_file_location("checks", ROOT / "hooks" / "checks.py")
    if spec is None or spec.loader is None:
        pytest.fail("hooks/checks.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checks(real: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with a report and steps of its own."""
    monkeypatch.setattr(real, "REPORTS", tmp_path)
    monkeypatch.setattr(real, "STEPS", {"good": [sys.executable, "-c", "print('quiet')"]})
    return real


def test_the_last_line_counts_what_was_recorded(checks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "library.xml").write_text(REPORT, encoding="utf-8")
    (tmp_path / "template.xml").write_text(REPORT, encoding="utf-8")
    assert list(checks.count()) == ["6 passed, 4 failed"]


def test_nothing_is_counted_when_nothing_was_recorded(
    checks: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checks.main() == 0
    shown = capsys.readouterr().out
    assert "[1/1] good ... ok" in shown
    assert re.search(r"^1 steps in \d+ s, all good$", shown, re.MULTILINE)
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


def test_a_skipped_test_fails_the_run_and_is_named(
    checks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = """<testsuite tests="2" failures="0" errors="0" skipped="1"><testcase classname="a" name="runs"/>
    <testcase classname="a" name="waits"><skipped message="no server"/></testcase></testsuite>"""
    write = f"""import pathlib
folder = pathlib.Path({str(tmp_path)!r})
folder.mkdir(exist_ok=True)
(folder / "library.xml").write_text({report!r})"""
    monkeypatch.setattr(checks, "STEPS", {"tests": [sys.executable, "-c", write]})
    assert checks.main() == 1
    assert "skipped a::waits: no server" in capsys.readouterr().out


def test_temporary_files_are_gone_afterwards(checks: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    with checks.scratch() as folder:
        (folder / "file").write_text("x", encoding="utf-8")
        command = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
        checks.STEPS["tests"] = command
        assert checks.test(1, "tests", folder)
        assert capfd.readouterr().out.splitlines()[-1] == str(folder)
    assert not folder.exists()


def test_a_folder_that_is_not_there_takes_no_files(checks: ModuleType, tmp_path: Path) -> None:
    assert not checks.fits(tmp_path / "missing")


def test_every_folder_of_tests_is_run(checks: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run = {checks.LIBRARY, *checks.WHOLE}
    assert checks.BUNDLED.startswith(f"{checks.LIBRARY}/")
    assert sorted(run) == project["tool"]["pytest"]["testpaths"]
    # Those in ops need real tools.
    folders = {
        f"tests/{file.relative_to(ROOT / 'tests').parts[0]}" for file in ROOT.glob("tests/**/test_*.py")
    }
    assert folders - run == {"tests/ops"}


def test_every_folder_of_the_library_has_tests_under_its_name() -> None:
    folders = {file.parent.name for file in (ROOT / "template/chassis/src/chassis").glob("*/__init__.py")}
    tests = ROOT / "tests/chassis"
    assert {"logging", "cli"} < folders
    assert [
        name
        for name in sorted(folders)
        if not (tests / name).is_dir() and not list(tests.glob(f"test_{name}*.py"))
    ] == []


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("test", "hooks/checks.py"),
        ("fmt", "ruff format ."),
        ("test-ops", "hooks/ops.py"),
        ("test-update", "tests/update/test_histories.py"),
        ("bench ONLY=instructions CHECK=1", "tests/bench --only instructions --check"),
    ],
)
def test_the_targets_of_the_guide_run_what_it_says(target: str, command: str) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"make {target}" in guide
    done = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.all", *target.split()],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert command in done.stdout


def test_an_import_that_goes_up_is_a_failure(real: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "template/chassis/src/chassis", tmp_path / "chassis", ignore=IGNORED)
    bottom = tmp_path / "chassis/pattern.py"
    verdicts = []
    for line in ("", "from chassis import server\n"):
        bottom.write_text(bottom.read_text(encoding="utf-8") + line, encoding="utf-8")
        done = subprocess.run(
            [*real.STEPS["layers"], "--config", ROOT / "pyproject.toml", "--no-cache"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        verdicts.append((done.returncode, "chassis.pattern -> chassis.server" in done.stdout))
    assert verdicts == [(0, False), (1, True)]
