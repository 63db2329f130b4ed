"""The database that the migrations build is the one that the models describe."""

from pathlib import Path

from pydantic import SecretStr

from chassis.app import Service
from chassis.bundles.database import DatabaseSettings, assert_models_match_migrations
from chassis.project import ServiceReference


def test_models_and_migrations_agree(app: Service, service: ServiceReference, tmp_path: Path) -> None:
    assert app.routes, "the application imports the models"
    url = SecretStr(f"sqlite:///{tmp_path / 'migrations.db'}")
    assert_models_match_migrations(DatabaseSettings(url=url, migrations=service.root / "migrations"))
