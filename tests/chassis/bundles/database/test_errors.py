import asyncio
import sqlite3
import threading
import traceback
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from chassis.bundles.database.engine import service_engine
from chassis.bundles.database.errors import (
    DatabaseBusy,
    DatabaseTimeout,
    DatabaseUnavailable,
    DataConflict,
    DataRejected,
    answer,
    hide_values,
    meaning,
    unreachable,
)
from chassis.bundles.database.settings import DatabaseSettings
from chassis.testing import capture_logs

metadata = sa.MetaData()
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("email", sa.String(20), unique=True, nullable=False),
    sa.Column("balance", sa.Integer, sa.CheckConstraint("balance >= 0"), nullable=False, default=0),
    sa.Column("parent", sa.ForeignKey("accounts.id")),
)
REFUSED = {
    "unique": {"email": "ada@example.com"},
    "not null": {"email": None},
    "check": {"email": "b", "balance": -1},
    "foreign key": {"email": "b", "parent": 99},
}


@pytest.fixture
async def connection(settings):
    engine = service_engine(settings)
    async with engine.connect() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(accounts.insert().values(email="ada@example.com"))
        await connection.commit()
        yield connection
    await engine.dispose()


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
async def test_row_that_breaks_a_constraint_is_a_conflict_that_says_nothing_of_it(connection, row):
    with pytest.raises(DBAPIError) as failure:
        await connection.execute(accounts.insert().values(**row))
    with capture_logs() as logs:
        told = answer(failure.value)
    assert isinstance(told, DataConflict)
    for leak in ("ada@", "accounts", "INSERT", "email"):
        assert leak not in f"{told} {told.extensions}"
    assert "ada@" not in logs.text + "".join(traceback.format_exception(failure.value))
    assert logs.one("database_error")["level"] == "info"


async def test_missing_table_is_a_defect_and_raised_again(connection):
    with pytest.raises(DBAPIError) as failure:
        await connection.execute(text("SELECT * FROM missing_table"))
    with pytest.raises(DBAPIError) as crash:
        answer(failure.value)
    assert crash.value is failure.value


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("INSERT INTO accounts (email) VALUES (:value)", {"value": "x" * 21}),
        ("SELECT 1 WHERE 'a' = :value", {"value": "nul\x00byte"}),
        ("UPDATE accounts SET balance = :value", {"value": "seven"}),
        ("UPDATE accounts SET balance = :value", {"value": 2**40}),
    ],
    ids=["too long", "NUL", "wrong type", "too large"],
)
async def test_value_that_postgres_cannot_hold_is_rejected(postgres, statement, values):
    engine = service_engine(DatabaseSettings(url=postgres.create_database()))
    async with engine.connect() as connection:
        await connection.run_sync(metadata.create_all)
        with pytest.raises(DBAPIError) as failure:
            await connection.execute(text(statement), values)
    await engine.dispose()
    with capture_logs() as logs:
        told = answer(failure.value)
    assert isinstance(told, DataRejected)
    text_of_it = "".join(traceback.format_exception(failure.value))
    assert str(next(iter(values.values()))) not in f"{told} {logs.text} {text_of_it}"


async def test_statement_that_takes_too_long_is_a_timeout(postgres):
    engine = service_engine(DatabaseSettings(url=postgres.create_database(), statement_timeout=0.02))
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as failure:
            await connection.execute(text("SELECT pg_sleep(60)"))
    await engine.dispose()
    assert isinstance(answer(failure.value), DatabaseTimeout)


async def test_cut_connection_is_unavailable(postgres):
    engine = service_engine(DatabaseSettings(url=postgres.create_database()))
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        postgres.stop()
        with pytest.raises(DBAPIError) as failure:
            await connection.execute(text("SELECT 1"))
        told = answer(failure.value)
    await engine.dispose()
    assert isinstance(told, DatabaseUnavailable)
    assert told.headers["Retry-After"] == "1"


async def test_database_that_does_not_exist_is_unavailable(postgres):
    missing = postgres.create_database() + "_missing"
    engine = service_engine(DatabaseSettings(url=missing))
    with pytest.raises(DBAPIError) as failure:
        await engine.connect()
    assert meaning(failure.value) is DatabaseUnavailable


async def test_locked_sqlite_file_is_busy(tmp_path):
    file = tmp_path / "test.db"
    engine = service_engine(DatabaseSettings(url=f"sqlite:///{file}", pool_timeout=0.01))
    async with engine.connect() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.commit()
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError) as failure:
            await connection.execute(accounts.insert().values(email="b"))
        other.close()
    await engine.dispose()
    assert isinstance(answer(failure.value), DatabaseBusy)


async def test_sqlite_file_that_cannot_be_opened_is_unavailable(tmp_path):
    engine = service_engine(DatabaseSettings(url=f"sqlite:///{tmp_path}"))
    before = set(threading.enumerate())
    with pytest.raises(OperationalError) as failure:
        await engine.connect()
    assert meaning(failure.value) is DatabaseUnavailable
    async with asyncio.timeout(10):  # the driver's thread still reports to this event loop
        while set(threading.enumerate()) - before:  # noqa: ASYNC110 - no event tells the end of a thread
            await asyncio.sleep(0.001)


def postgres_error(sqlstate):
    original = Exception("text of the server")
    original.sqlstate = sqlstate
    return DBAPIError("SELECT 1", None, original, hide_parameters=True)


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("08006", DatabaseUnavailable),
        ("25006", DatabaseUnavailable),
        ("28P01", DatabaseUnavailable),
        ("3D000", DatabaseUnavailable),
        ("53300", DatabaseUnavailable),
        ("57P03", DatabaseUnavailable),
        ("40001", DatabaseBusy),
        ("40P01", DatabaseBusy),
        ("55P03", DatabaseBusy),
        ("57014", DatabaseTimeout),
        ("22001", DataRejected),
        ("23505", DataConflict),
        ("42P01", None),
        ("XX000", None),
    ],
)
def test_meaning_follows_the_sqlstate(sqlstate, expected):
    assert meaning(postgres_error(sqlstate)) is expected


@pytest.mark.parametrize(
    ("sqlstate", "status", "code", "again"),
    [
        ("08006", 503, "DATABASE_UNAVAILABLE", "1"),
        ("40P01", 503, "DATABASE_BUSY", "1"),
        ("57014", 504, "DATABASE_TIMEOUT", None),
        ("23505", 409, "DATA_CONFLICT", None),
        ("22001", 422, "DATA_REJECTED", None),
    ],
)
def test_client_is_told_a_status_a_code_and_when_to_come_back(*, sqlstate, status, code, again):
    told = answer(postgres_error(sqlstate))
    assert (told.status, told.code, (told.headers or {}).get("Retry-After")) == (status, code, again)


async def test_log_names_what_postgres_said_of_the_error_and_no_value(postgres):
    engine = service_engine(DatabaseSettings(url=postgres.create_database()))
    async with engine.connect() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(accounts.insert().values(email="ada@example.com"))
        with pytest.raises(DBAPIError) as failure:
            await connection.execute(accounts.insert().values(email="ada@example.com"))
    await engine.dispose()
    with capture_logs() as logs:
        answer(failure.value)
    logged = logs.one("database_error")
    assert (logged["error_type"], logged["sqlstate"], logged["constraint"]) == (
        *("UniqueViolationError", "23505", "accounts_email_key"),
    )
    assert "ada@" not in str(logged)


def test_pool_timeout_is_busy_and_asks_to_come_back():
    with capture_logs() as logs:
        told = answer(PoolTimeoutError("QueuePool limit of size 5 overflow 10 reached"))
    assert isinstance(told, DatabaseBusy)
    assert told.status == 503
    assert told.headers["Retry-After"] == "1"
    assert "QueuePool" not in str(told)
    assert logs.one("database_error")["level"] == "warning"


def test_value_is_hidden_from_an_error_of_the_connection_too():
    refused = postgres_error("22023").orig
    refused.args = ('invalid value for parameter "TimeZone": "hunter22"',)
    hide_values(SimpleNamespace(original_exception=refused, sqlalchemy_exception=None))
    assert str(refused) == "invalid value for parameter (value hidden)"


def test_row_that_changed_meanwhile_is_a_conflict():
    assert meaning(StaleDataError("UPDATE matched 0 rows")) is DataConflict


def test_socket_error_is_unavailable():
    assert meaning(unreachable(ConnectionRefusedError(111, "refused"))) is DatabaseUnavailable


def test_other_errors_mean_nothing():
    assert meaning(InvalidRequestError("no")) is None
    assert meaning(DBAPIError("SELECT 1", None, sqlite3.OperationalError("no such table: x"))) is None
