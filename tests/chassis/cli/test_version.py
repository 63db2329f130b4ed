"""``chassis version``."""

import json
import platform
from pathlib import Path

import pytest

from chassis import release
from chassis.cli.command import run


def test_it_prints_what_is_installed(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--directory", str(sample)]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert facts == {
        "chassis": release.VERSION,
        "digest": release.digest(),
        "python": platform.python_version(),
        "service": "sample-service 1.2.3",
    }


def test_a_service_without_a_project_file_is_named_by_its_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_PACKAGE", "orders")
    run(["version", "--directory", str(tmp_path), "--json"])
    assert json.loads(capsys.readouterr().out)["service"] == "orders"


def test_it_works_outside_a_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERVICE_PACKAGE", raising=False)
    assert run(["version", "--directory", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"chassis", "digest", "python"}
