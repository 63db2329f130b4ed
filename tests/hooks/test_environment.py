"""What a machine lacks is told in one sentence."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
