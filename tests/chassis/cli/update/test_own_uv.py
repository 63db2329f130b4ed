"""Update and verify with the real Copier, which the service's own uv brings."""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from chassis.cli.update.flow import update
from chassis.cli.update.plan import Request
from chassis.cli.update.report import Report
from chassis.cli.update.service import find
from chassis.cli.verify import verify


def test_the_uv_that_make_installs_is_enough(
    service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither uv nor Copier is on the PATH or in the environment, as where only Python is installed."""
    own = service / ".uv/bin/uv"
    own.parent.mkdir(parents=True)
    own.write_text(f'#!/bin/sh\nshift 4\necho run >> "$0.log"\nexec {sys.executable} -m copier "$@"\n')
    own.chmod(0o755)
    (service / ".uv/.gitignore").write_text("*\n")
    folders = os.environ["PATH"].split(os.pathsep)
    tools = ("uv", "copier")
    without = [path for path in folders if not any(shutil.which(name, path=path) for name in tools)]

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing/python"))
    monkeypatch.setenv("PATH", os.pathsep.join(without))

    # From the service's folder, as make does, and from another one.
    monkeypatch.chdir(service)
    report = Report(as_json=True)
    update(find(Path()), Request(tests=False), report)
    assert report.result.status == "updated"
    monkeypatch.chdir(tmp_path)
    assert verify(service, "recorded").compared == "0.1.0"
    assert own.with_name("uv.log").read_text().split() == ["run"] * 3
