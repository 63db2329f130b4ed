import pytest
from pydantic import SecretStr, ValidationError

from chassis.bundles.database.settings import DEFAULT_URL, DatabaseSettings
from chassis.settings import Settings, SettingsError, load


class ServiceSettings(Settings):
    environment: str = "development"
    database: DatabaseSettings = DatabaseSettings()


@pytest.mark.parametrize(
    ("url", "sqlite"),
    [
        ("postgres://u:p@host/db", False),
        ("postgresql://u:p@host/db?sslmode=require", False),
        ("postgresql+asyncpg://host/db", False),
        ("postgresql:///db?host=/run/postgresql", False),
        ("postgresql://u:p%2F%3F%23%40@h1:5432,h2:5433/db", False),
        ("postgresql://u@[::1]:5432/db?sslmode=require&", False),
        ("sqlite:///data/x.db", True),
        ("sqlite+aiosqlite:////var/lib/x.db", True),
    ],
)
def test_url_of_a_known_database_is_taken(url, sqlite):
    assert DatabaseSettings(url=url).is_sqlite is sqlite


@pytest.mark.parametrize("url", ["mysql://host/db", "host/db", "", "postgresql", "oracle+oracledb://x"])
def test_url_of_another_database_is_refused_with_the_known_ones(url):
    with pytest.raises(ValidationError, match="must start with postgresql:// or sqlite:///"):
        DatabaseSettings(url=url)


@pytest.mark.parametrize(
    "password", ["hunt/er22", "hunt#er22", "hunt?er22", "12?er22", "a@hunt:er22", "[er22]"]
)
def test_url_that_the_driver_would_quote_is_refused_in_words(password):
    with pytest.raises(ValidationError, match="written as in %2F") as refusal:
        DatabaseSettings(url=f"postgresql://u:{password}@host:5432/db")
    assert "er22" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?cache=shared&mode=memory"],
)
def test_sqlite_in_memory_is_refused(url):
    with pytest.raises(ValidationError, match="must name a file"):
        DatabaseSettings(url=url)


def test_password_is_in_no_output():
    settings = DatabaseSettings(url="postgresql://u:hunter22-sesame@host/db")
    assert "hunter22" not in repr(settings) + str(settings) + str(settings.model_dump())


def test_refusal_does_not_show_the_url():
    with pytest.raises(ValidationError) as refusal:
        DatabaseSettings(url="mysql://u:hunter22-sesame@host/db")
    assert "hunter22" not in str(refusal.value)


def test_variables_carry_the_prefix(tmp_path):
    settings = load(
        ServiceSettings,
        environ={
            "DATABASE_URL": "postgresql://h/db",
            "DATABASE_POOL_SIZE": "7",
            "DATABASE_MIGRATE_ON_START": "true",
        },
        directory=tmp_path,
    )
    assert settings.database.pool_size == 7
    assert settings.database.migrate_on_start is True
    assert settings.database.url == SecretStr("postgresql://h/db")


def test_default_is_a_file_so_that_no_server_is_needed():
    settings = DatabaseSettings()
    assert settings.url.get_secret_value() == DEFAULT_URL == "sqlite:///data/service.db"
    assert settings.is_sqlite


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "must be set in production"),
        ({"DATABASE_URL": "postgresql://orders:postgres@db/orders"}, "well-known password"),
        ({"DATABASE_URL": "postgresql://orders:orders@db/orders"}, "password that equals its user"),
    ],
)
def test_production_refuses(environ, reason, tmp_path):
    with pytest.raises(SettingsError, match="DATABASE_URL") as refusal:
        load(ServiceSettings, environ={"ENVIRONMENT": "production", **environ}, directory=tmp_path)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://orders:kX93-vb27-Qm@db/orders",
        "sqlite:////var/lib/orders/orders.db",
        "postgresql://db/orders",
    ],
)
def test_production_takes_what_was_chosen(url, tmp_path):
    settings = load(
        ServiceSettings, environ={"ENVIRONMENT": "production", "DATABASE_URL": url}, directory=tmp_path
    )
    assert settings.database.url.get_secret_value() == url
