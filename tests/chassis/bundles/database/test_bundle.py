import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import APIRouter, BackgroundTasks, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.app import create_app
from chassis.bundle import Bundle
from chassis.bundles.database import Database, Session
from chassis.errors import NotFound
from chassis.ratelimit import RateLimitSettings
from chassis.service_settings import ServiceIdentity, ServiceSettings
from chassis.testing import MetricsReader, capture_logs
from chassis.testing.client import connect

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "database.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


class Model(DeclarativeBase):
    pass


class Note(Model):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)


class Gate:
    """Lets a test stop an endpoint in the middle."""

    def __init__(self):
        self.entered = asyncio.Semaphore(0)
        self.open = asyncio.Event()

    async def pass_through(self):
        self.entered.release()
        await self.open.wait()


def notes_router(gate):  # noqa: C901 - many small endpoints
    router = APIRouter()

    @router.get("/notes")
    async def read(session: Session) -> list[str]:
        return list(await session.scalars(sa.select(Note.text).order_by(Note.id)))

    @router.post("/notes/{value}")
    async def write(value: str, session: Session, then: str = "") -> str:
        session.add(Note(text=value))
        await session.flush()
        match then:
            case "http":
                raise HTTPException(418)
            case "service":
                raise NotFound
            case "crash":
                raise RuntimeError("boom")
            case "unserializable":
                return object()
            case "returned":
                return JSONResponse({}, status_code=400)
            case "wait":
                await gate.pass_through()
        return value

    @router.get("/hold")
    async def hold(session: Session) -> None:
        await session.execute(text("SELECT 1"))
        await gate.pass_through()

    @router.get("/connections")
    async def connections(request: Request, session: Session) -> list[int]:
        pool = request.app.environment.get(Database).engine.pool
        before = pool.checkedout()
        await session.execute(text("SELECT 1"))
        return [before, pool.checkedout()]

    @router.get("/two-sessions")
    async def same(one: Session, other: Session) -> bool:
        return one is other

    @router.get("/missing")
    async def missing(session: Session) -> None:
        await session.execute(text("SELECT 'the statement' FROM missing_table"))

    @router.get("/late")
    async def late(request: Request, session: Session) -> StreamingResponse:
        await session.execute(text("SELECT 1"))
        database = request.app.environment.get(Database)

        async def lines():
            yield f"{database.engine.pool.checkedout()} "
            async with database.session() as own:
                yield str(await own.scalar(text("SELECT 42")))

        return StreamingResponse(lines())

    @router.post("/background/{value}")
    async def background(value: str, request: Request, session: Session, tasks: BackgroundTasks) -> None:
        session.add(Note(text=value))
        database = request.app.environment.get(Database)

        async def copy() -> None:
            async with database.session() as own:
                own.add(Note(text=await own.scalar(sa.select(Note.text)) + " twice"))

        tasks.add_task(copy)

    return router


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def changes():
    """Settings of the database that a test changes."""
    return {}


def service(settings, gate, **more):
    return create_app(
        ServiceSettings(
            service=ServiceIdentity(name="notes"),
            rate_limiting=RateLimitSettings(enabled=False),
            **more,
        ),
        bundles=[Database(settings)],
        routers=[notes_router(gate)],
    )


@pytest.fixture
async def app(settings, changes, gate):
    app = service(settings.model_copy(update=changes), gate)
    engine = app.environment.get(Database).engine
    async with engine.begin() as connection:
        await connection.run_sync(Model.metadata.create_all)
    await engine.dispose()
    return app


@pytest.fixture
async def client(app):
    async with connect(app) as client:
        yield client


@pytest.fixture
def database(app):
    return app.environment.get(Database)


@pytest.fixture
def metrics(app):
    return MetricsReader(app.environment.metrics)


@asynccontextmanager
async def held(client, gate, *paths):
    """Keep requests inside their endpoints, after their first statement."""
    requests = [asyncio.create_task(client.get(path)) for path in paths]
    for _ in paths:
        await gate.entered.acquire()
    yield requests
    gate.open.set()
    await asyncio.gather(*requests)


async def eventually(condition):
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.02)


def test_database_is_a_bundle(settings):
    assert isinstance(Database(settings), Bundle)


async def test_success_is_committed(client):
    assert (await client.post("/notes/a")).status_code == 200
    assert (await client.get("/notes")).json() == ["a"]


@pytest.mark.parametrize(
    ("then", "status"), [("http", 418), ("service", 404), ("crash", 500), ("unserializable", 500)]
)
async def test_failure_is_rolled_back(client, database, then, status):
    assert (await client.post(f"/notes/a?then={then}")).status_code == status
    assert (await client.get("/notes")).json() == []
    assert database.engine.pool.checkedout() == 0


async def test_error_response_that_is_returned_commits(client):
    assert (await client.post("/notes/a?then=returned")).status_code == 400
    assert (await client.get("/notes")).json() == ["a"]


async def test_cancelled_request_is_rolled_back_and_gives_its_connection_back(client, gate, database):
    request = asyncio.create_task(client.post("/notes/a?then=wait"))
    await gate.entered.acquire()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert database.engine.pool.checkedout() == 0
    assert (await client.get("/notes")).json() == []


async def test_commit_comes_before_the_response(app, client, database):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            async with database.session() as other:
                sent.append(await other.scalar(sa.select(sa.func.count()).select_from(Note)))
            sent.append(database.engine.pool.checkedout())

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/notes/a",
        "raw_path": b"/notes/a",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    assert sent == [1, 0]


async def test_failed_commit_is_told_to_the_client(client, database):
    def refuse(_session):
        raise sa.exc.TimeoutError("no connection")

    sa.event.listen(sa.orm.Session, "before_commit", refuse)
    try:
        response = await client.post("/notes/a")
    finally:
        sa.event.remove(sa.orm.Session, "before_commit", refuse)
    assert response.status_code == 503
    assert (await client.get("/notes")).json() == []


async def test_session_is_one_for_a_request(client):
    assert (await client.get("/two-sessions")).json() is True


async def test_session_takes_a_connection_with_its_first_statement(client):
    assert (await client.get("/connections")).json() == [0, 1]


async def test_example_of_the_documentation_answers_the_id_that_the_database_gave(settings):
    class NoteDraft(BaseModel):
        text: str

    class NoteOut(BaseModel, from_attributes=True):
        id: int
        text: str

    example = next(block for block in EXAMPLES if "NoteDraft" in block)
    names = {
        "router": APIRouter(),
        "Session": Session,
        "NoteDraft": NoteDraft,
        "NoteRow": Note,
        "Note": NoteOut,
    }
    exec(example, names)
    database = Database(settings)
    app = create_app(ServiceSettings(), bundles=[database], routers=[names["router"]])
    async with database.engine.begin() as connection:
        await connection.run_sync(Model.metadata.create_all)
    async with connect(app) as client:
        assert (await client.post("/notes", json={"text": "a"})).json() == {"id": 1, "text": "a"}


async def test_own_session_commits_at_its_end_and_rolls_back_when_the_block_raises(client, database):
    async with database.session() as session:
        session.add(Note(text="kept"))

    async def write_and_fail():
        async with database.session() as session:
            session.add(Note(text="lost"))
            await session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        await write_and_fail()
    assert (await client.get("/notes")).json() == ["kept"]
    assert database.engine.pool.checkedout() == 0


async def test_stream_opens_a_session_of_its_own(client):
    assert (await client.get("/late")).text == "0 42"


async def test_background_task_sees_what_the_request_committed(client):
    await client.post("/background/a")
    assert (await client.get("/notes")).json() == ["a", "a twice"]


async def test_constraint_answers_409_without_a_word_of_sql(client):
    await client.post("/notes/ada@example.com")
    response = await client.post("/notes/ada@example.com")
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "DATA_CONFLICT"
    for leak in ("INSERT", "UNIQUE", "unique", "notes_text"):
        assert leak not in response.text


async def test_defect_is_a_crash_that_shows_nothing_and_is_logged(client):
    with capture_logs() as logs:
        response = await client.get("/missing")
    assert response.status_code == 500
    assert response.json()["code"] == "INTERNAL_ERROR"
    assert "missing_table" not in response.text
    assert "missing_table" in logs.text
    assert "Traceback" in logs.text


async def test_health_check_asks_for_a_constant_over_the_pool(client, database):
    asked = []

    def listen(_connection, _cursor, statement, *_):
        asked.append(statement)

    sa.event.listen(database.engine.sync_engine, "before_cursor_execute", listen)
    assert "of 15 connections in use" in (await client.get("/health/detailed")).text
    assert set(asked) == {"SELECT 1"}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_server_lists_connections_under_the_name_of_the_service(client, database, postgres, settings):
    async with database.session() as session:
        await session.execute(text("SELECT 1"))
        listed = postgres.sql(
            settings.url.get_secret_value(),
            "SELECT DISTINCT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    assert listed == "notes"


class TestExhaustion:
    @pytest.fixture
    def changes(self):
        return {"pool_size": 1, "max_overflow": 1, "pool_timeout": 0.1}

    async def test_pool_exhaustion_answers_503_and_then_works_again(self, client, gate, metrics):
        async with held(client, gate, "/hold", "/hold"):
            responses = await asyncio.gather(*(client.get("/notes") for _ in range(5)))
            assert [response.status_code for response in responses] == [503] * 5
            assert responses[0].headers["retry-after"] == "1"
            assert responses[0].json()["code"] == "DATABASE_BUSY"
            assert metrics.value("service_db_pool_exhausted_total") == 5
        assert (await client.get("/notes")).status_code == 200

    async def test_health_stays_good_and_does_not_queue(self, client, gate):
        async with held(client, gate, "/hold", "/hold"):
            assert (await client.get("/health/ready")).status_code == 200
            detail = (await client.get("/health/detailed")).text
            assert "2 of 2 connections in use" in detail

    async def test_gauges_show_the_pool_as_it_is(self, client, gate, metrics):
        def pool():
            return tuple(
                metrics.value(f"service_db_pool_{name}") for name in ("size", "active", "idle", "overflow")
            )

        await client.get("/notes")
        assert pool() == (1, 0, 1, 0)
        async with held(client, gate, "/hold", "/hold"):
            assert pool() == (1, 2, 0, 1)
        assert pool() == (1, 0, 1, 0)


async def test_statements_are_measured_by_operation(client, metrics):
    await client.post("/notes/a")
    await client.get("/notes")
    assert metrics.value("service_db_query_duration_seconds_count", operation="INSERT") == 1
    assert metrics.value("service_db_query_duration_seconds_count", operation="SELECT") >= 1
    assert metrics.value("service_db_pool_wait_seconds_count") >= 2
    assert metrics.value("service_db_slow_queries_total") == 0


async def test_failed_statement_is_measured_too(client, metrics):
    grown = metrics.delta("service_db_query_duration_seconds_count", operation="INSERT")
    await client.post("/notes/a")
    await client.post("/notes/a")
    assert grown() == 2


class TestSlow:
    @pytest.fixture
    def changes(self):
        return {"slow_query_ms": 0}

    async def test_slow_statement_is_logged_without_its_parameters(self, client, metrics):
        with capture_logs() as logs:
            await client.post("/notes/hunter22")
        slow = logs.find("slow_query")
        assert any(event["statement"].startswith("INSERT INTO notes") for event in slow)
        assert slow[0]["level"] == "warning"
        assert "hunter22" not in str(slow)
        assert metrics.value("service_db_slow_queries_total", operation="INSERT") == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
class TestOutage:
    @pytest.fixture
    def changes(self):
        return {"connect_timeout": 1.0}

    async def test_service_recovers_by_itself_when_the_server_is_back(self, client, postgres, metrics):
        assert (await client.get("/health/ready")).status_code == 200
        await client.post("/notes/before")
        postgres.stop()

        response = await client.get("/notes")
        assert response.status_code == 503
        assert response.json()["code"] == "DATABASE_UNAVAILABLE"
        assert "retry-after" in response.headers
        assert metrics.value("service_db_connection_errors_total", type="ConnectionRefusedError") >= 1
        await eventually(lambda: answers(client, "/health/ready", 503))
        assert (await client.get("/health/live")).status_code == 200

        postgres.start()
        assert (await client.get("/notes")).json() == ["before"]
        await eventually(lambda: answers(client, "/health/ready", 200))

    async def test_service_starts_without_its_database_and_warns(self, app, postgres):
        postgres.stop()
        with capture_logs() as logs:
            async with connect(app) as client:
                assert (await client.get("/health/live")).status_code == 200
                assert (await client.get("/health/ready")).status_code == 503
                warning = logs.find("resource unavailable", resource="database")[0]
                assert warning["level"] == "warning"
                postgres.start()
                assert (await client.get("/notes")).status_code == 200
                await eventually(lambda: answers(client, "/health/ready", 200))
        assert "correct-horse-battery" not in logs.text


async def answers(client, path, status):
    return (await client.get(path)).status_code == status


REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))
"""


@pytest.mark.parametrize(
    ("environment", "chosen", "status"),
    [("development", None, 200), ("staging", None, 500), ("staging", True, 200), ("development", False, 500)],
)
async def test_schema_is_migrated_at_start_in_development_or_where_chosen(
    settings, migrations, gate, *, environment, chosen, status
):
    migrations(first=REVISION)
    app = service(settings.model_copy(update={"migrate_on_start": chosen}), gate, environment=environment)
    async with connect(app) as client:
        await eventually(lambda: answers(client, "/health/ready", 200))
        assert (await client.get("/notes")).status_code == status


async def test_service_is_not_ready_before_its_migrations_have_run(settings, migrations, gate):
    migrations(first="raise RuntimeError('broken')")
    app = service(settings.model_copy(update={"migrate_on_start": True}), gate)
    async with connect(app) as client:
        assert (await client.get("/health/ready")).status_code == 503
        detail = (await client.get("/health/detailed")).text
        assert "migrations have not run" in detail
        assert "RuntimeError: broken" in detail


async def test_connections_are_closed_with_the_service(app, database):
    async with connect(app) as client:
        await client.get("/notes")
        assert database.engine.pool.checkedin() >= 1
    assert database.engine.pool.checkedin() == 0


async def test_session_without_the_bundle_names_it(gate):
    app = create_app(ServiceSettings(), routers=[notes_router(gate)])
    with capture_logs() as logs:
        async with connect(app) as client:
            assert (await client.get("/notes")).status_code == 500
    assert "nothing provides Database" in logs.text


async def test_two_services_in_one_process_have_a_database_each(app, settings, gate, tmp_path):
    other = service(settings.model_copy(update={"pool_size": 2}), gate)
    async with connect(app) as one, connect(other) as two:
        await one.post("/notes/a")
        assert (await two.get("/notes")).json() == ["a"]
    assert app.environment.get(Database) is not other.environment.get(Database)
