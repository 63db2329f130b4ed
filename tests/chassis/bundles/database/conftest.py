"""What the tests of the database bundle share. A test that takes ``settings`` runs on both databases."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chassis.bundles.database.settings import DatabaseSettings

TEMPLATE = Path(__file__).parents[4] / "template"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'test.db'}"
    created: str = request.getfixturevalue("postgres").create_database()
    return created


@pytest.fixture
def settings(url: str, tmp_path: Path) -> DatabaseSettings:
    return DatabaseSettings(url=url, migrations=tmp_path / "migrations", migrate_on_start=False)


ENV = """
import sqlalchemy as sa
from chassis.bundles.database.migrations import run
from chassis.bundles.database.models import NAMING, UtcDateTime

metadata = sa.MetaData(naming_convention=NAMING)
{models}
run(metadata)
"""

AUTHORS = """
sa.Table(
    "authors",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False),
)
"""
BOOKS = """
sa.Table(
    "books",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("author_id", sa.ForeignKey("authors.id", ondelete="CASCADE"), nullable=False),
    sa.Column("written_at", UtcDateTime, nullable=False),
)
"""


@pytest.fixture
def models() -> SimpleNamespace:
    """Python text of models, for ``migrations``."""
    return SimpleNamespace(authors=AUTHORS, books=BOOKS)


@pytest.fixture
def migrations(settings: DatabaseSettings) -> Callable[..., Any]:
    """Make the directory of migrations, for models given as text; called again it replaces the models."""

    def make(models: str = "", **revisions: str) -> Path:
        directory = settings.migrations
        (directory / "versions").mkdir(parents=True, exist_ok=True)
        shutil.copy(TEMPLATE / "migrations" / "script.py.mako", directory)
        (directory / "env.py").write_text(ENV.format(models=models))
        for name, body in revisions.items():
            (directory / "versions" / f"{name}.py").write_text(body)
        return directory

    return make
