import re

import pytest
from sqlalchemy.exc import DBAPIError

from chassis.bundles.database.testing import assert_models_match_migrations

INIT = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down}


def upgrade():
    op.create_table(
        "authors",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_authors"),
    )


def downgrade():
    {downgrade}
"""


def first(revision="0001", down=None, downgrade='op.drop_table("authors")'):
    return INIT.format(revision=revision, down=repr(down), downgrade=downgrade)


def test_models_that_match_pass(settings, migrations, models):
    migrations(models.authors, first=first())
    assert_models_match_migrations(settings)


def test_neither_models_nor_migrations_pass(settings, migrations):
    migrations()
    assert_models_match_migrations(settings)


def test_models_without_any_migration_fail(settings, migrations, models):
    migrations(models.authors)
    with pytest.raises(AssertionError, match="add_table"):
        assert_models_match_migrations(settings)


def test_difference_fails_and_says_what_to_run(settings, migrations, models):
    migrations(models.authors.replace("50", "60"), first=first())
    with pytest.raises(AssertionError, match="make migration") as failure:
        assert_models_match_migrations(settings)
    assert re.search(r"modify_type.*authors.*name", str(failure.value))


def test_table_without_migration_fails(settings, migrations, models):
    migrations(
        models.authors,
        first=first()
        .replace("op.create_table", "(lambda *_: None)")
        .replace('op.drop_table("authors")', "pass"),
    )
    with pytest.raises(AssertionError, match="add_table"):
        assert_models_match_migrations(settings)


def test_downgrade_that_leaves_a_table_fails(settings, migrations, models):
    migrations(models.authors, first=first(downgrade="pass"))
    with pytest.raises(AssertionError, match="leaves tables behind: authors"):
        assert_models_match_migrations(settings)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_downgrade_that_leaves_what_the_next_upgrade_makes_fails(settings, migrations, models):
    view = 'op.execute("CREATE VIEW one AS SELECT 1")'
    migrations(
        models.authors,
        first=first().replace("def upgrade():", f"def upgrade():\n    {view}"),
    )
    with pytest.raises(DBAPIError, match="already exists"):
        assert_models_match_migrations(settings)


def test_two_heads_fail_and_say_what_to_run(settings, migrations):
    migrations(first=first(), other=first("0002"))
    with pytest.raises(AssertionError, match="merge"):
        assert_models_match_migrations(settings)
