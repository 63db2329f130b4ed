"""The package's table of contents: what it exports, and what it says when the extra is not installed."""

import subprocess
import sys

import pytest

from chassis.bundles import database

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sqlalchemy", "alembic", "asyncpg", "aiosqlite", "greenlet"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def python(code):
    return subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", database.__all__)
def test_every_name_is_there(name):
    assert getattr(database, name) is not None


def test_settings_need_no_sqlalchemy():
    finished = python(
        "from chassis.bundles.database import DatabaseSettings; print(DatabaseSettings().pool_size)"
    )
    assert finished.stdout == "5\n", finished.stderr


def test_missing_extra_is_named():
    finished = python("from chassis.bundles.database import Database")
    assert "install the extra vendored-chassis[database]" in finished.stderr


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = database.nonsense


def test_other_missing_module_is_not_blamed_on_the_extra(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError("No module named 'orders'", name="orders")

    monkeypatch.delitem(vars(database), "Base", raising=False)
    monkeypatch.setattr(database.importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="orders"):
        _ = database.Base
