"""What a service's tests need from the database bundle."""

from sqlalchemy import inspect
from sqlalchemy.engine import Connection

from chassis.bundles.database.migrations import Migrations, exclusively
from chassis.bundles.database.settings import DatabaseSettings

__all__ = ["assert_models_match_migrations"]


def assert_models_match_migrations(settings: DatabaseSettings) -> None:
    """Migrate an empty database up, down and up again, and compare it with the models.

    The models are those that ``migrations/env.py`` names; they must have been imported, for example with the
    service's ``app``. Without models there need be no migration. Raises ``AssertionError`` that says what to
    do, and what the migrations raise. It blocks: call it from a test that is no coroutine.
    """
    migrations = Migrations(settings)
    heads = migrations.heads()
    if len(heads) > 1:
        raise AssertionError(
            f"there are {len(heads)} newest migrations ({', '.join(heads)}): merge them with "
            "`python -m chassis.bundles.database merge`"
        )
    migrations.upgrade()
    differences = migrations.differences()
    if differences:
        listed = "\n".join(f"  {difference}" for difference in differences)
        raise AssertionError(
            f"models and migrations differ; write a migration with `make migration m=...`:\n{listed}"
        )
    migrations.downgrade("base")
    left = exclusively(settings, _tables) - {"alembic_version"}
    if left:
        raise AssertionError(f"downgrade to base leaves tables behind: {', '.join(sorted(left))}")
    migrations.upgrade()


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())
