import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chassis.bundles.database.engine import MeasuredPool, measured_pool, migration_engine, service_engine
from chassis.bundles.database.settings import DatabaseSettings

metadata = sa.MetaData()
authors = sa.Table(
    "authors", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text)
)
books = sa.Table(
    "books",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("author_id", sa.ForeignKey("authors.id")),
)


@pytest.fixture
async def engine(settings):
    engine = service_engine(settings, application="orders")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def sqlite(tmp_path):
    return DatabaseSettings(url=f"sqlite:///{tmp_path / 'deep' / 'er' / 'test.db'}", pool_timeout=7)


async def pragma(engine, name):
    async with engine.connect() as connection:
        return await connection.scalar(text(f"PRAGMA {name}"))


async def test_sqlite_connection_works_as_a_server_does(sqlite):
    engine = service_engine(sqlite)
    async with engine.connect(), engine.connect():  # the second is not the first one used again
        assert await pragma(engine, "journal_mode") == "wal"
        assert await pragma(engine, "foreign_keys") == 1
        assert await pragma(engine, "synchronous") == 1  # NORMAL
        assert await pragma(engine, "busy_timeout") == 7000
    await engine.dispose()


async def test_pool_logs_at_the_level_of_sqlalchemys_own(sqlite, caplog):
    engine = service_engine(sqlite)
    with caplog.at_level("INFO"):
        await engine.dispose()
    assert not caplog.records
    with caplog.at_level("INFO", "sqlalchemy.pool"):
        await service_engine(sqlite).dispose()
    assert "Pool disposed" in caplog.text


async def test_sqlite_migrates_with_foreign_keys_off(sqlite):
    engine = migration_engine(sqlite)
    assert await pragma(engine, "foreign_keys") == 0
    await engine.dispose()


async def test_foreign_keys_are_enforced(engine):
    async with engine.begin() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(books.insert().values(author_id=42))
        await connection.rollback()


async def test_directory_of_a_new_sqlite_file_is_made(sqlite, tmp_path):
    engine = service_engine(sqlite)
    async with engine.connect():
        assert (tmp_path / "deep" / "er" / "test.db").is_file()
    await engine.dispose()


async def test_reader_does_not_wait_for_a_writer(engine):
    async with engine.connect() as writer, engine.connect() as reader:
        await writer.execute(authors.insert().values(name="Ada"))
        assert await reader.scalar(sa.select(sa.func.count()).select_from(authors)) == 0
        await writer.commit()
        await reader.rollback()
        assert await reader.scalar(sa.select(sa.func.count()).select_from(authors)) == 1


async def test_writers_that_read_first_wait_for_each_other(engine):
    async with engine.begin() as connection:
        await connection.execute(authors.insert().values(id=1, name=""))
    both_have_read = asyncio.Barrier(2)

    async def write(letter):
        async with engine.begin() as connection:
            await connection.scalar(sa.select(authors.c.name).where(authors.c.id == 1))
            await both_have_read.wait()
            await connection.execute(authors.update().values(name=authors.c.name + letter))

    await asyncio.gather(write("a"), write("b"))
    async with engine.connect() as connection:
        assert await connection.scalar(sa.select(authors.c.name)) in {"ab", "ba"}


async def test_released_savepoint_is_undone_with_its_transaction(engine):
    async with engine.connect() as connection:
        async with connection.begin_nested():
            await connection.execute(authors.insert().values(name="Ada"))
        await connection.rollback()
        assert await connection.scalar(sa.select(sa.func.count()).select_from(authors)) == 0


async def test_savepoint_undoes_its_own_part_alone(engine):
    async with engine.begin() as connection:
        await connection.execute(authors.insert().values(name="Ada"))
        savepoint = await connection.begin_nested()
        await connection.execute(authors.insert().values(name="Bob"))
        await savepoint.rollback()
    async with engine.connect() as connection:
        assert list(await connection.scalars(sa.select(authors.c.name))) == ["Ada"]


async def test_parameters_are_in_no_error_text(engine):
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as failure:
            await connection.execute(text("SELECT :secret FROM missing_table"), {"secret": "hunter22"})
    assert "hunter22" not in str(failure.value)
    assert "parameters hidden" in str(failure.value)


async def test_exhausted_pool_gives_up_after_its_timeout(url):
    engine = service_engine(DatabaseSettings(url=url, pool_size=1, max_overflow=0, pool_timeout=0.05))
    seen = []
    engine.pool.on_checkout = lambda seconds, error: seen.append(type(error))
    async with engine.connect():
        with pytest.raises(PoolTimeoutError):
            await engine.connect()
    await engine.dispose()
    assert seen == [type(None), PoolTimeoutError]


async def test_pool_is_measured_after_a_dispose_too(url):
    engine = service_engine(DatabaseSettings(url=url))
    seen = []
    engine.pool.on_checkout = lambda seconds, error: seen.append(seconds >= 0)
    await engine.dispose()
    assert isinstance(engine.pool, MeasuredPool)
    async with engine.connect():
        pass
    await engine.dispose()
    assert seen == [True]


async def test_connection_without_a_pool_is_closed_after_use(settings):
    engine = service_engine(settings, pooled=False)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    assert engine.pool.status() == "NullPool"
    with pytest.raises(TypeError, match="service_engine"):
        measured_pool(engine)


async def test_refused_connection_is_an_operational_error(postgres):
    url = postgres.create_database()
    postgres.stop()
    engine = service_engine(DatabaseSettings(url=url))
    with pytest.raises(OperationalError) as failure:
        await engine.connect()
    assert isinstance(failure.value.orig, OSError)


async def test_postgres_knows_the_service_by_name_and_cancels_long_statements(postgres):
    url = postgres.create_database()
    engine = service_engine(DatabaseSettings(url=url, statement_timeout=0.05), application="orders")
    async with engine.connect() as connection:
        assert await connection.scalar(text("SHOW application_name")) == "orders"
        with pytest.raises(DBAPIError) as failure:
            await connection.execute(text("SELECT pg_sleep(60)"))
    assert failure.value.orig.sqlstate == "57014"
    await engine.dispose()


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "sslmode=prefer&channel_binding=require",
        "channel_binding=prefer&options=-c%20work_mem%3D77kB",
    ],
)
async def test_url_with_options_of_libpq_works(postgres, query):
    url = postgres.create_database()
    engine = service_engine(DatabaseSettings(url=f"{url}?{query}"))
    async with engine.connect() as connection:
        expected = "77kB" if "work_mem" in query else "4MB"
        assert await connection.scalar(text("SHOW work_mem")) == expected
    await engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_name_of_postgres_is_the_same(postgres, scheme):
    _, _, rest = postgres.create_database().partition("://")
    engine = service_engine(DatabaseSettings(url=f"{scheme}://{rest}"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_database()")) == rest.rpartition("/")[2]
    await engine.dispose()


async def test_tls_that_the_url_requires_is_not_given_up(postgres):
    engine = service_engine(DatabaseSettings(url=f"{postgres.create_database()}?sslmode=require"))
    with pytest.raises(OperationalError, match="SSL"):  # this server has none
        await engine.connect()
    await engine.dispose()


async def test_url_may_name_a_unix_socket(postgres):
    engine = service_engine(DatabaseSettings(url=postgres.over_socket(postgres.create_database())))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT inet_server_addr()")) is None
    await engine.dispose()


async def test_statement_timeout_does_not_end_a_migration(postgres):
    engine = migration_engine(DatabaseSettings(url=postgres.create_database(), statement_timeout=0.01))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SHOW statement_timeout")) == "0"
    await engine.dispose()
