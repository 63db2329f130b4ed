"""What a machine lacks is told in one sentence."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment() -> ModuleType:
    """The module hooks/environment.py."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "hooks" / "environment.py")
    if spec is None or spec.loader is None:
        pytest.fail("hooks/environment.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(3, 6), (3, 10)])
def test_a_python_that_is_too_old_is_told(environment: ModuleType, version: tuple[int, int]) -> None:
    problem = environment.problem_of_python(version)
    assert "3.11 or later" in problem
    assert "make PYTHON=" in problem
    assert "\n" not in problem


@pytest.mark.parametrize("version", [(3, 11), (3, 14), (4, 0)])
def test_a_new_enough_python_is_taken(environment: ModuleType, version: tuple[int, int]) -> None:
    assert environment.problem_of_python(version) == ""


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told(
    environment: ModuleType, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    problem = environment.problem_of_python((3, 11))
    assert "venv" in problem
    assert "\n" not in problem


def test_the_problem_ends_the_script(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "problem_of_python", lambda _: "a sentence")
    assert environment.main(["all"]) == 1
    assert capsys.readouterr().err == "a sentence\n"


def test_old_python_can_read_the_script() -> None:
    import ast

    text = (ROOT / "hooks" / "environment.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 7))


def test_make_tells_of_a_python_that_is_not_there(tmp_path: Path) -> None:
    for name in ("Makefile", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "environment.py").touch()
    done = subprocess.run(
        ["make", "demo", "PYTHON=python-that-is-not-there"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "There is no python-that-is-not-there" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("demo", "PORT=9000"), 'PORT="9000" ONCE="" .venv/bin/python hooks/demo.py'),
        (("demo", "ONCE=1"), 'PORT="8000" ONCE="1" .venv/bin/python hooks/demo.py'),
        (("test",), ".venv/bin/python hooks/checks.py"),
        (("test", "FRESH=1"), '"python3" hooks/environment.py all --fresh'),
        (("test-ops",), ".venv/bin/python hooks/ops.py"),
        (("test-update",), "UPDATE_HISTORIES=300 .venv/bin/pytest tests/update/test_histories.py -n 2 -q"),
        (("bench",), ".venv/bin/python tests/bench"),
        (
            ("bench", "ONLY=instructions", "CHECK=1"),
            ".venv/bin/python tests/bench --only instructions --check",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_make_runs_what_the_readme_says(arguments: tuple[str, ...], line: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON"))}
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, env=clean, check=True, capture_output=True, text=True
    )
    assert line in [" ".join(printed.split()) for printed in done.stdout.splitlines()]


@pytest.mark.parametrize(("arguments", "pinned"), [(["all"], True), (["all", "--fresh"], False)])
def test_fresh_takes_the_newest_packages_instead_of_those_in_the_constraints(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str], *, pinned: bool
) -> None:
    commands: list[list[str]] = []

    def record(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(environment.subprocess, "run", record)
    assert environment.install(arguments) == ""
    assert len(commands) == 2
    assert {str(ROOT / "constraints.txt") in command for command in commands} == {pinned}
    assert {"--upgrade" in command for command in commands} == {not pinned}


@pytest.mark.parametrize("port", ["taken", "many", "0", "70000"])
def test_the_demo_tells_of_a_port_it_cannot_have(port: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        chosen = str(taken.getsockname()[1]) if port == "taken" else port
        done = subprocess.run(
            [sys.executable, ROOT / "hooks" / "demo.py"],
            env={**os.environ, "PORT": chosen},
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert chosen in done.stderr
    assert "choose" in done.stderr
