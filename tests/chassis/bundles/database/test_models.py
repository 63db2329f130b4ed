from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.bundles.database.engine import service_engine
from chassis.bundles.database.models import NAMING, Base, UtcDateTime

moments = sa.Table("moments", sa.MetaData(), sa.Column("at", UtcDateTime))


@pytest.fixture
async def connection(settings):
    engine = service_engine(settings)
    async with engine.begin() as connection:
        await connection.run_sync(moments.create)
        yield connection
        await connection.rollback()
    await engine.dispose()


async def test_moment_comes_back_in_utc_whatever_zone_it_was_given_in(connection):
    noon = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    await connection.execute(moments.insert().values(at=noon))
    kept = await connection.scalar(sa.select(moments.c.at))
    assert kept == noon
    assert kept.tzinfo is UTC


async def test_no_moment_stays_none(connection):
    await connection.execute(moments.insert().values(at=None))
    assert await connection.scalar(sa.select(moments.c.at)) is None


async def test_moment_without_zone_is_refused(connection):
    with pytest.raises(StatementError, match="needs a time zone"):
        await connection.execute(moments.insert().values(at=datetime(2024, 1, 1)))  # noqa: DTZ001 - the point


def test_every_constraint_has_a_name():
    class Model(DeclarativeBase):
        metadata = sa.MetaData(naming_convention=NAMING)

    class Parent(Model):
        __tablename__ = "parents"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Child(Model):
        __tablename__ = "children"
        __table_args__ = (sa.CheckConstraint("age >= 0", name="age"), sa.UniqueConstraint("name", "age"))
        id: Mapped[int] = mapped_column(primary_key=True)
        parent: Mapped[int] = mapped_column(sa.ForeignKey("parents.id"))
        name: Mapped[str] = mapped_column(index=True)
        age: Mapped[int]

    table = Model.metadata.tables["children"]
    assert {constraint.name for constraint in table.constraints} == {
        "pk_children",
        "fk_children_parent_parents",
        "ck_children_age",
        "uq_children_name_age",
    }
    assert {index.name for index in table.indexes} == {"ix_children_name"}


async def test_database_has_the_names_of_the_convention(connection):
    made = sa.MetaData(naming_convention=NAMING)
    sa.Table("authors", made, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table(
        "books",
        made,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(9), unique=True),
        sa.Column("author_id", sa.ForeignKey("authors.id")),
    )
    await connection.run_sync(made.create_all)

    def names(connection):
        found = sa.inspect(connection)
        unique, foreign = found.get_unique_constraints("books"), found.get_foreign_keys("books")
        return [found.get_pk_constraint("books")["name"], *(each["name"] for each in unique + foreign)]

    assert await connection.run_sync(names) == [
        "pk_books",
        "uq_books_name",
        "fk_books_author_id_authors",
    ]


def test_base_maps_datetime_to_a_moment():
    assert Base.type_annotation_map[datetime] is UtcDateTime
    assert Base.metadata.naming_convention["pk"] == "pk_%(table_name)s"
