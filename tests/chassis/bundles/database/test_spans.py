import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis.app import create_app
from chassis.bundles.database import Database
from chassis.bundles.database.engine import service_engine
from chassis.bundles.database.spans import trace_statements
from chassis.service_settings import ServiceSettings
from chassis.tracing import TracingSettings


@pytest.fixture
def exported():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exported):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    yield provider
    provider.shutdown()


@pytest.fixture
async def connection(settings, provider):
    engine = service_engine(settings)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE authors (name TEXT)"))
    trace_statements(engine, provider)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT name FROM authors WHERE name = :name", "SELECT authors"),
        ("INSERT INTO authors VALUES (:name)", "INSERT authors"),
        ("update authors set name = :name", "UPDATE authors"),
        ('DELETE FROM "authors" WHERE name = :name', "DELETE authors"),
        ("SELECT 1 WHERE 'x' = :name", "SELECT"),
    ],
)
async def test_statement_is_a_span_that_names_operation_and_table_alone(
    connection, exported, settings, statement, summary
):
    await connection.execute(text(statement), {"name": "hunter22"})
    span = exported.get_finished_spans()[-1]
    assert span.name == summary
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes) == {
        "db.system.name": "sqlite" if settings.is_sqlite else "postgresql",
        "db.operation.name": summary.split()[0],
        "db.query.summary": summary,
    }


async def test_span_is_a_child_of_what_is_current(connection, exported, provider):
    with provider.get_tracer("test").start_as_current_span("request") as parent:
        await connection.execute(text("SELECT 1"))
    child = exported.get_finished_spans()[0]
    assert child.parent.span_id == parent.get_span_context().span_id


async def test_failure_ends_the_span_and_marks_it(connection, exported):
    with pytest.raises(DBAPIError):
        await connection.execute(text("SELECT 1 FROM missing_table"))
    span = exported.get_finished_spans()[-1]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"]


async def test_service_traces_its_statements_when_tracing_is_on(settings, exported):
    tracing = TracingSettings(enabled=True, protocol="console")
    app = create_app(ServiceSettings(tracing=tracing), bundles=[Database(settings)])
    provider = app.environment.tracing.provider
    provider.add_span_processor(SimpleSpanProcessor(exported))
    database = app.environment.get(Database)
    async with database.session() as session:
        await session.execute(text("SELECT 1"))
    await database.engine.dispose()
    await app.environment.tracing.shutdown()
    assert [span.name for span in exported.get_finished_spans()] == ["SELECT"]
