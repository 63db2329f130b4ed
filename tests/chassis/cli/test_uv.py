"""uv is found wherever it may have been put."""

import sys
from pathlib import Path

import pytest

from chassis.cli.uv import find_uv


def put(folder: Path) -> Path:
    program = folder / "uv"
    folder.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_it_is_found_on_the_path_then_beside_python_then_where_make_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = tmp_path / "orders"
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    assert find_uv(service) is None
    for folder in (service / ".uv" / "bin", tmp_path / "venv", tmp_path / "path"):
        program = put(folder)
        assert find_uv(service) == program


def test_its_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    program = put(tmp_path / ".uv" / "bin")
    monkeypatch.chdir(tmp_path)
    assert find_uv(Path()) == program
