import asyncio
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.config import CommandLine
from sqlalchemy.exc import DBAPIError

from chassis.bundles.database.migrations import _LOCK_KEY, MigrationError, Migrations, exclusively
from chassis.testing import capture_logs

# On SQLite the transaction itself is the lock; the test with processes is of both.
ONLY_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)

FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "authors",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(50), nullable=False),
    )
    op.create_table(
        "books",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("author_id", sa.Integer(), sa.ForeignKey("authors.id", ondelete="CASCADE"), nullable=False),
    )
    op.execute("INSERT INTO authors (id, name) VALUES (1, 'Ada')")
    op.execute("INSERT INTO books (id, author_id) VALUES (1, 1)")


def downgrade():
    op.drop_table("books")
    op.drop_table("authors")
"""


def second(body, revision="0002", down="0001"):
    return f"""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down}"


def upgrade():
    {body}


def downgrade():
    pass
"""


def tables(settings):
    return exclusively(settings, lambda connection: set(sa.inspect(connection).get_table_names()))


def scalar(settings, statement):
    return exclusively(settings, lambda connection: connection.scalar(sa.text(statement)))


def test_upgrade_and_downgrade(settings, migrations):
    migrations(first=FIRST)
    database = Migrations(settings)
    assert database.current() is None
    with capture_logs() as logs:
        database.upgrade()
    assert logs.one("migration_applied")["revision"] == "0001"
    assert database.current() == "0001"
    assert tables(settings) == {"alembic_version", "authors", "books"}
    database.downgrade("base")
    assert database.current() is None
    assert tables(settings) == {"alembic_version"}


def test_second_upgrade_does_nothing(settings, migrations):
    migrations(first=FIRST)
    Migrations(settings).upgrade()
    Migrations(settings).upgrade()
    assert scalar(settings, "SELECT count(*) FROM authors") == 1


def test_failed_migration_leaves_nothing_behind(settings, migrations):
    migrations(
        first=FIRST, second=second('op.create_table("halves"); op.execute("SELECT * FROM missing_table")')
    )
    with pytest.raises(DBAPIError):
        Migrations(settings).upgrade()
    assert tables(settings) == set()


def test_table_is_rebuilt_without_deleting_the_rows_that_point_at_it(settings, migrations):
    body = """with op.batch_alter_table("authors", recreate="auto") as batch:
        batch.alter_column("name", type_=sa.String(80), existing_nullable=False)"""
    migrations(first=FIRST, second=second(body))
    Migrations(settings).upgrade()
    assert scalar(settings, "SELECT count(*) FROM books") == 1


def test_constraint_is_dropped_by_the_name_of_the_convention(settings, migrations):
    body = """with op.batch_alter_table("books") as batch:
        batch.drop_constraint("fk_books_author_id_authors", type_="foreignkey")"""
    migrations(first=FIRST, second=second(body))
    Migrations(settings).upgrade()
    assert exclusively(settings, lambda connection: sa.inspect(connection).get_foreign_keys("books")) == []


def test_migration_that_breaks_a_foreign_key_is_refused(settings, migrations):
    database = Migrations(settings)
    migrations(first=FIRST)
    database.upgrade()
    body = """op.execute("INSERT INTO books (id, author_id) VALUES (2, 77)")"""
    migrations(first=FIRST, second=second(body))
    with pytest.raises((MigrationError, DBAPIError), match="foreign key"):
        database.upgrade()
    assert database.current() == "0001"


def test_written_migration_holds_what_the_models_have(settings, migrations, models):
    migrations(models.authors + models.books)
    written = Migrations(settings).revision("add authors and books")
    text = written.read_text()
    assert re.fullmatch(r"\d{8}_[0-9a-f]{12}_add_authors_and_books\.py", written.name)
    assert "authors" in text
    assert "fk_books_author_id_authors" in text
    assert "sa.DateTime(timezone=True)" in text
    assert "UtcDateTime" not in text
    assert not re.search("^import chassis|^from chassis", text, re.MULTILINE)
    Migrations(settings).upgrade()
    assert tables(settings) >= {"authors", "books"}


def test_written_migration_is_formatted_and_passes_the_rules(settings, migrations, models):
    migrations(models.authors + models.books)
    written = Migrations(settings).revision("add authors and books")
    rules = "select = ['ALL']\nignore = ['COM812', 'CPY', 'D203', 'D213', 'INP001', 'ISC001']\n"
    config = written.parent / "ruff.toml"
    config.write_text(f"line-length = 110\n[lint]\n{rules}")
    for command in (["check"], ["format", "--check"]):
        finished = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(config), str(written)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout


def test_nothing_is_written_when_models_and_migrations_agree(settings, migrations, models):
    directory = migrations(models.authors)
    database = Migrations(settings)
    database.revision("add authors")
    with pytest.raises(MigrationError, match="nothing to write"):
        database.revision("again")
    assert len(list((directory / "versions").glob("*.py"))) == 1


def test_empty_migration_is_written_when_asked_for(settings, migrations):
    migrations()
    written = Migrations(settings).revision("fill by hand", autogenerate=False)
    assert "pass" in written.read_text()
    assert tables(settings) == set()


def test_changed_type_is_noticed(settings, migrations, models):
    migrations(models.authors)
    database = Migrations(settings)
    database.revision("add authors")
    # A size of its own: with the same one, in the same second, Python would take its bytecode from before.
    migrations(models.authors.replace("sa.String(50)", "sa.String(600)"))
    assert "length=600" in database.revision("longer names").read_text()


def test_branches_are_merged(settings, migrations):
    migrations(first=FIRST, left=second("pass", "left"), right=second("pass", "right"))
    database = Migrations(settings)
    assert set(database.heads()) == {"left", "right"}
    with pytest.raises(MigrationError, match="Multiple head"):
        database.upgrade()
    merge = database.merge()
    assert database.heads() == (re.search(r'revision: str = ["\'](\w+)', merge.read_text())[1],)
    database.upgrade()


def test_a_database_at_several_revisions_at_once_is_told(settings, migrations):
    migrations(first=FIRST, left=second("pass", "left"), right=second("pass", "right"))
    database = Migrations(settings)
    database.upgrade("heads")
    with pytest.raises(MigrationError, match="at several revisions at once, left, right: merge"):
        database.current()
    database.merge()
    database.upgrade()
    assert (database.current(),) == database.heads()


def test_files_that_follow_each_other_in_a_circle_are_told(settings, migrations):
    migrations(one=second("pass", "0001", "0002"), two=second("pass", "0002", "0001"))
    database = Migrations(settings)
    for ask in (database.heads, database.merge, database.upgrade):
        with pytest.raises(MigrationError, match="Cycle is detected in revisions"):
            ask()


def test_nothing_to_merge_is_said(settings, migrations):
    migrations(first=FIRST)
    with pytest.raises(MigrationError, match="nothing to merge"):
        Migrations(settings).merge()


def test_unknown_revision_is_an_error_in_words(settings, migrations):
    migrations(first=FIRST)
    Migrations(settings).upgrade()
    with pytest.raises(MigrationError, match=r"^Can't locate revision identified by '9999'$"):
        Migrations(settings).upgrade("9999")


def test_a_database_that_is_newer_than_the_files_is_refused(settings, migrations):
    migrations(first=FIRST, second=second("pass"))
    Migrations(settings).upgrade()
    (settings.migrations / "versions" / "second.py").unlink()
    with pytest.raises(
        MigrationError, match=r"the database is at revision 0002, of which .* has no file: bring"
    ):
        Migrations(settings).upgrade()


def test_missing_directory_is_named_with_the_variable_to_set(settings):
    with pytest.raises(MigrationError, match="DATABASE_MIGRATIONS") as refusal:
        Migrations(settings).upgrade()
    assert str(settings.migrations) in str(refusal.value)


def test_percent_sign_in_the_directory_is_no_trouble(settings, migrations, tmp_path):
    odd = settings.model_copy(update={"migrations": tmp_path / "100%sure"})
    migrations(first=FIRST).rename(odd.migrations)
    Migrations(odd).upgrade()
    assert Migrations(odd).current() == "0001"


def test_alembics_own_command_says_what_to_run(tmp_path, migrations):
    directory = migrations(first=FIRST)
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        f"[alembic]\nscript_location = {directory}\npath_separator = os\nsqlalchemy.url = sqlite://\n"
    )
    with pytest.raises(MigrationError, match="make migrate"):
        CommandLine().main(["-c", str(ini), "upgrade", "head"])


def test_threads_that_migrate_at_once_apply_each_migration_once(settings, migrations):
    migrations(first=FIRST)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: Migrations(settings).upgrade(), range(4)))
    assert scalar(settings, "SELECT count(*) FROM authors") == 1


PROCESS = """
import sys
from pathlib import Path
from chassis.bundles.database.migrations import Migrations
from chassis.bundles.database.settings import DatabaseSettings
settings = DatabaseSettings(url=sys.argv[1], migrations=Path(sys.argv[2]))
sys.stdin.readline()
Migrations(settings).upgrade()
"""


def test_processes_that_migrate_at_once_apply_each_migration_once(settings, migrations):
    directory = migrations(first=FIRST)
    command = [sys.executable, "-W", "error", "-c", PROCESS, settings.url.get_secret_value(), str(directory)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    failures = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], failures
    assert scalar(settings, "SELECT count(*) FROM authors") == 1


@pytest.fixture
async def lock_holder(postgres, settings):
    """Another process that migrates the same database: a connection that holds the lock."""
    connection = await asyncpg.connect(settings.url.get_secret_value())
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
    yield connection
    await connection.close()


@ONLY_POSTGRESQL
async def test_migration_waits_for_the_process_that_holds_the_lock(settings, migrations, lock_holder):
    migrations(first=FIRST)
    with capture_logs() as logs:
        migration = asyncio.create_task(asyncio.to_thread(Migrations(settings).upgrade))
        async with asyncio.timeout(30):
            while not logs.find("migration_waits"):  # noqa: ASYNC110 - a thread logs it
                await asyncio.sleep(0.01)
        assert await lock_holder.fetchval("SELECT to_regclass('authors')") is None
        await lock_holder.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)
        await migration
    assert await lock_holder.fetchval("SELECT to_regclass('authors')") is not None


@ONLY_POSTGRESQL
async def test_migration_gives_up_on_a_lock_that_is_never_freed(
    settings, migrations, lock_holder, monkeypatch
):
    migrations(first=FIRST)
    monkeypatch.setattr("chassis.bundles.database.migrations.MIGRATION_LOCK_WAIT", 0.0)
    with pytest.raises(MigrationError, match="for too long"):
        await asyncio.to_thread(Migrations(settings).upgrade)


@ONLY_POSTGRESQL
def test_index_is_built_without_a_lock_outside_the_transaction(settings, migrations):
    body = """with op.get_context().autocommit_block():
        op.create_index("ix_authors_name", "authors", ["name"], postgresql_concurrently=True)"""
    migrations(first=FIRST, second=second(body))
    Migrations(settings).upgrade()
    assert (
        scalar(settings, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_authors_name'::regclass")
        is True
    )
    assert Migrations(settings).current() == "0002"


@ONLY_POSTGRESQL
def test_what_stands_before_an_index_without_a_lock_is_committed_first(settings, migrations):
    body = """op.create_table("before", sa.Column("id", sa.Integer))
    with op.get_context().autocommit_block():
        op.execute("SELECT * FROM missing_table")"""
    migrations(first=FIRST, second=second(body))
    with pytest.raises(DBAPIError):
        Migrations(settings).upgrade()
    assert "before" in tables(settings)


def test_further_arguments_of_run_reach_alembic(settings, migrations, models):
    directory = migrations(models.authors)
    env = directory / "env.py"
    env.write_text(env.read_text().replace("run(metadata)", 'run(metadata, version_table="versions")'))
    Migrations(settings).revision("add authors")
    Migrations(settings).upgrade()
    assert "versions" in tables(settings)
