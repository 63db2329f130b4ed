"""``chassis config show``."""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chassis.cli.config import app

SETTINGS = """
from pydantic import SecretStr
from chassis.settings import Group, Settings as Base

class Payments(Group):
    api_key: SecretStr
    url: str = "https://user:hunter2@pay.example"

class Settings(Base):
    port: int = 8000
    payments: Payments

other = 5
"""
KEY = "k3y-Zq81-vM7x-0pTw"
numbers = count()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A service with a package of its own name that nobody installed."""
    package = f"orders_{next(numbers)}"
    source = tmp_path / "src" / package
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    (source / "settings.py").write_text(SETTINGS)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/service.yaml").write_text("port: 8001\n")
    (tmp_path / "pyproject.toml").write_text(f'[tool.chassis]\npackage = "{package}"\n')
    for name in ("SERVICE_PACKAGE", "CONFIG_DIR", "PORT", "ENVIRONMENT", "REMOTE_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("PAYMENTS_API_KEY", KEY)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[module]


@pytest.fixture
def show(service: Path) -> Callable[..., Result]:
    def run(*arguments: str, directory: Path = service) -> Result:
        return CliRunner().invoke(app, ["show", "--directory", str(directory), *arguments])

    return run


def test_table(show: Any) -> None:
    result = show()
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["SETTING", "VARIABLE", "VALUE", "SOURCE"],
        ["port", "PORT", "8001", "config/service.yaml", "line", "1"],
        ["payments.api_key", "PAYMENTS_API_KEY", "***", "environment", "PAYMENTS_API_KEY"],
        ["payments.url", "PAYMENTS_URL", "https://user:***@pay.example", "default"],
    ]


def test_long_value_keeps_the_other_rows_narrow(show: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_URL", "x" * 300)
    port = next(line for line in show().stdout.splitlines() if line.startswith("port"))
    assert len(port) < 140


def test_json(show: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_ULR", "x")
    document = json.loads(show("--json").stdout)
    assert document["settings"][1] == {
        "path": "payments.api_key",
        "variable": "PAYMENTS_API_KEY",
        "value": "***",
        "source": "environment PAYMENTS_API_KEY",
    }
    assert document["warnings"] == [
        {
            "variable": "PAYMENTS_ULR",
            "problem": "is no variable of this service; did you mean PAYMENTS_URL?",
            "source": "environment PAYMENTS_ULR",
        }
    ]


def test_warnings(show: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_ULR", "x")
    assert "warning: PAYMENTS_ULR is no variable of this service" in show().stderr


def test_all_mistakes(show: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "many")
    monkeypatch.delenv("PAYMENTS_API_KEY")
    result = show()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "2 settings are wrong:",
        "  PORT must be a valid integer, not many (environment PORT)",
        "  PAYMENTS_API_KEY is required: set it in the environment, .env or a secret file",
    ]
    result = show("--json")
    assert result.exit_code == 1
    assert [mistake["variable"] for mistake in json.loads(result.stdout)["mistakes"]] == [
        "PORT",
        "PAYMENTS_API_KEY",
    ]


def test_below_the_root_of_the_service(show: Any, service: Path) -> None:
    assert "config/service.yaml" in show(directory=service / "src").stdout


def test_named_class(show: Any, service: Path, tmp_path_factory: Any) -> None:
    package = next((service / "src").iterdir()).name
    assert show("--settings", f"{package}.settings:Settings").exit_code == 0
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    result = show("--settings", f"{package}.settings:Settings", directory=elsewhere)
    assert "payments.url" in result.stdout


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("{}.settings:other", "is no class that inherits from chassis.settings.Settings"),
        ("{}.settings:Missing", "has no Missing"),
        ("{}.nothing:Settings", "there is no module"),
        ("{}", "must have the form package.module:name"),
    ],
)
def test_what_is_no_settings_class(show: Any, service: Path, reference: str, words: str) -> None:
    package = next((service / "src").iterdir()).name
    result = show("--settings", reference.format(package))
    assert result.exit_code == 2
    assert words in result.stderr


def test_no_service(show: Any, tmp_path_factory: Any) -> None:
    result = show(directory=tmp_path_factory.mktemp("empty"))
    assert result.exit_code == 2
    assert "or set SERVICE_PACKAGE" in result.stderr
