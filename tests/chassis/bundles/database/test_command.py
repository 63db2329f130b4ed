import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.bundles.database.__main__ import main
from chassis.logging import unconfigure_logging

ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

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
    forget(source)
    unconfigure_logging()


def forget(package):
    """Let the next command import the service anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
        del sys.modules[name]


def last_line(capsys):
    return capsys.readouterr().out.strip().splitlines()[-1]


def test_life_of_a_migration(package, capsys):
    assert main(["current"]) == 0
    assert last_line(capsys) == "the database is at base"
    assert main(["revision", "-m", "add authors"]) == 0
    written = last_line(capsys)
    assert written.endswith("_add_authors.py")
    assert main(["check"]) == 1
    assert "the database is at base, the newest migration is" in last_line(capsys)
    assert main(["upgrade"]) == 0
    assert main(["check"]) == 0
    assert main(["downgrade", "-1"]) == 0
    assert last_line(capsys) == "the database is at base"


@ON_SQLITE
def test_migrations_are_applied_and_undone_as_far_as_told(package, capsys):
    main(["revision", "-m", "add authors"])
    main(["upgrade"])
    first = last_line(capsys).rpartition(" ")[2]
    main(["revision", "-m", "by hand", "--empty"])
    main(["upgrade"])
    second = last_line(capsys).rpartition(" ")[2]
    for command, revision in (
        (["downgrade", "-1"], first),
        (["upgrade"], second),
        (["downgrade", "base"], "base"),
        (["upgrade", first], first),
        (["current"], first),
    ):
        assert main(command) == 0
        assert last_line(capsys) == f"the database is at {revision}"


@ON_SQLITE
def test_models_are_those_that_the_app_imports(package, capsys):
    env = package.parents[1] / "migrations" / "env.py"
    env.write_text(ENV.replace("from {package}.models import", "from chassis_metadata import"))
    (package.parent / "chassis_metadata.py").write_text(
        "import sqlalchemy as sa\n\nmetadata = sa.MetaData()\n"
    )
    for name in ("models", "forgotten"):
        table = f'sa.Table("{name}", metadata, sa.Column("id", sa.Integer, primary_key=True))\n'
        (package / f"{name}.py").write_text(
            f"import sqlalchemy as sa\nfrom chassis_metadata import metadata\n\n{table}"
        )
    assert main(["revision", "-m", "begin"]) == 0
    written = env.parent / "versions" / last_line(capsys).rpartition("/")[2]
    assert '"models"' in written.read_text()
    assert '"forgotten"' not in written.read_text()
    del sys.modules["chassis_metadata"]


@ON_SQLITE
def test_service_is_the_one_that_the_variable_names(package, monkeypatch, capsys):
    (package.parents[1] / "pyproject.toml").write_text('[tool.chassis]\npackage = "nowhere_at_all"\n')
    assert main(["current"]) == 2
    monkeypatch.setenv("SERVICE_PACKAGE", package.name)
    assert main(["current"]) == 0
    assert last_line(capsys) == "the database is at base"


@ON_SQLITE
def test_check_finds_what_the_models_lack(package, capsys):
    main(["revision", "-m", "add authors"])
    assert main(["upgrade"]) == 0
    (package / "models.py").write_text(MODELS)
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    forget(package)
    assert main(["check"]) == 1
    assert "remove_table" in last_line(capsys)


@ON_SQLITE
def test_nothing_to_write_is_said(package, capsys):
    main(["revision", "-m", "add authors"])
    assert main(["revision", "-m", "again"]) == 1
    assert "nothing to write" in capsys.readouterr().err
    assert main(["revision", "-m", "by hand", "--empty"]) == 0
    assert last_line(capsys).endswith("_by_hand.py")


@ON_SQLITE
def test_branches_are_merged(package, capsys):
    first, _ = (main(["revision", "-m", name, "--empty"]) for name in ("left", "right"))
    assert first == 0
    right = next(path for path in (package.parents[1] / "migrations" / "versions").glob("*_right.py"))
    text = right.read_text().splitlines()
    right.write_text(
        "\n".join("down_revision = None" if line.startswith("down_revision") else line for line in text)
    )
    assert main(["upgrade"]) == 1
    assert main(["merge", "-m", "both"]) == 0
    assert main(["upgrade"]) == 0


@ON_SQLITE
def test_several_revisions_at_once_are_told_without_a_traceback(package, capsys):
    main(["revision", "-m", "left", "--empty"])
    main(["revision", "-m", "right", "--empty"])
    right = Path(last_line(capsys))
    right.write_text(
        re.sub("^down_revision.*$", "down_revision = None", right.read_text(), flags=re.MULTILINE)
    )
    for command in (["upgrade", "heads"], ["current"], ["check"]):
        assert main(command) == 1
        assert "at several revisions at once" in capsys.readouterr().err


@ON_SQLITE
def test_wrong_settings_are_listed(package, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_POOL_SIZE", "many")
    assert main(["current"]) == 2
    assert "DATABASE_POOL_SIZE" in capsys.readouterr().err


def test_directory_without_a_service_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SERVICE_PACKAGE", raising=False)
    assert main(["current"]) == 2
    assert "no service in" in capsys.readouterr().err


@ON_SQLITE
def test_service_without_a_database_is_told(package, capsys):
    (package / "settings.py").write_text("from chassis.service_settings import ServiceSettings as Settings\n")
    assert main(["current"]) == 2
    assert "has no database" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_database_that_is_down_is_told_without_a_traceback(package, postgres, capsys):
    postgres.stop()
    assert main(["current"]) == 1
    error = capsys.readouterr().err
    assert "the database failed" in error
    assert "Traceback" not in error


@ON_SQLITE
def test_failing_migration_is_told_without_a_traceback(package, capsys):
    main(["revision", "-m", "broken", "--empty"])
    broken = next((package.parents[1] / "migrations" / "versions").glob("*_broken.py"))
    broken.write_text(
        broken.read_text().replace("    pass", '    op.execute("SELECT * FROM missing_table")', 1)
    )
    assert main(["upgrade"]) == 1
    assert "missing_table" in capsys.readouterr().err


@ON_SQLITE
def test_failure_of_the_database_is_told_without_its_secret(package, monkeypatch, capsys):
    def fail(*_):
        raise OSError("cannot reach postgres://u:s3cretpassw0rd@db/x")

    monkeypatch.setattr("chassis.bundles.database.migrations.migration_engine", fail)
    assert main(["current"]) == 1
    assert "the database failed: cannot reach postgres://u:s3***rd@db/x" in capsys.readouterr().err


@ON_SQLITE
def test_unknown_command_is_an_exit_code(package):
    with pytest.raises(SystemExit) as leaving:
        main(["dance"])
    assert leaving.value.code == 2


@ON_SQLITE
def test_module_runs_as_a_command(package):
    finished = subprocess.run(
        [sys.executable, "-m", "chassis.bundles.database", "current"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("the database is at base\n")
