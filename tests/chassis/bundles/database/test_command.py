import subprocess
import sys

import pytest

from chassis.bundles.database.__main__ import main
from chassis.logging import unconfigure_logging

SETTINGS = """
from chassis.bundles.database import DatabaseSettings
from chassis.service_settings import ServiceSettings


class Settings(ServiceSettings):
    database: DatabaseSettings = DatabaseSettings()
"""
MODELS = """
from chassis.bundles.database import Base
import sqlalchemy as sa

metadata = sa.MetaData()
"""
ENV = """
from {package}.models import metadata
from chassis.bundles.database.migrations import run

run(metadata)
"""
TABLE = """
sa.Table("authors", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture
def package(request, tmp_path, url, migrations, monkeypatch):
    """A service in a directory of its own, which is the current one."""
    package = f"service_{abs(hash(request.node.nodeid))}"
    source = tmp_path / "src" / package
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    (source / "settings.py").write_text(SETTINGS)
    (source / "models.py").write_text(MODELS + TABLE)
    (source / "app.py").write_text("from . import models\n")
    (tmp_path / "pyproject.toml").write_text(f'[tool.chassis]\npackage = "{package}"\n')
    (migrations() / "env.py").write_text(ENV.format(package=package))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("DATABASE_URL", url)
    for name in ("ENVIRONMENT", "SERVICE_PACKAGE", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    yield source
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    unconfigure_logging()


def last_line(capsys):
    return capsys.readouterr().out.strip().splitlines()[-1]


def test_life_of_a_migration(package, capsys):
    assert main(["current"]) == 0
    assert last_line(capsys) == "the database is at base"
    assert main(["revision", "-m", "add authors"]) == 0
    written = last_line(capsys)
    assert written.endswith("_add_authors.py")
    assert main(["check"]) == 1
    assert "the database is at None, the newest migration is" in last_line(capsys)
    assert main(["upgrade"]) == 0
    assert main(["check"]) == 0
    assert main(["downgrade", "-1"]) == 0
    assert last_line(capsys) == "the database is at base"


def test_check_finds_what_the_models_lack(package, capsys):
    main(["revision", "-m", "add authors"])
    (package / "models.py").write_text(MODELS)
    assert main(["upgrade"]) == 0
    # Base has no such table: the migration made one that no model knows.
    assert main(["check"]) == 1
    assert "remove_table" in last_line(capsys)
