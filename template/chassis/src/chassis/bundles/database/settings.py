"""What the database bundle can be told. SQLAlchemy is not needed to read it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from typing_extensions import override

from chassis.settings import Group, Mistake

__all__ = ["DEFAULT_URL", "DatabaseSettings"]

DEFAULT_URL: Final = "sqlite:///data/service.db"
"""A file below the working directory, so that a service runs with no server; refused in production."""

_POSTGRESQL: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})
_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite"})
_HOST: Final = re.compile(r"(?:\[[^\[\]@]*\]|[^:\[\]@]*)(?::\d*)?")


class DatabaseSettings(Group, prefix="DATABASE_"):
    """Where the data lives, and how long a request waits for it."""

    url: SecretStr = Field(
        SecretStr(DEFAULT_URL),
        description="postgresql://user:password@host:5432/name with libpq's query options (sslmode, ...), "
        "or sqlite:///path/to/file.db. Required in production.",
    )
    pool_size: int = Field(5, ge=1, le=1000, description="Connections each worker process keeps open.")
    max_overflow: int = Field(
        10, ge=0, le=1000, description="Connections a worker may open above the pool size while it is busy."
    )
    pool_timeout: float = Field(
        5.0,
        gt=0,
        le=300,
        description="Seconds a request waits for a free connection, and on SQLite for another writer, "
        "before it is answered with 503.",
    )
    pool_recycle: int = Field(
        1800, ge=-1, description="Seconds after which a connection is replaced; -1 keeps it for ever."
    )
    pre_ping: bool = Field(
        True, description="Test a connection when it is taken from the pool, and replace a dead one."
    )
    connect_timeout: float = Field(
        5.0, gt=0, le=300, description="Seconds to wait for a new connection (PostgreSQL)."
    )
    statement_timeout: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="Seconds after which PostgreSQL cancels a statement; 0 sets no limit. SQLite has none.",
    )
    slow_query_ms: int = Field(
        500, ge=0, description="Milliseconds from which a query is logged and counted as slow."
    )
    echo: bool = Field(False, description="Log every statement, without its parameters.")
    migrations: Path = Field(Path("migrations"), description="Directory of the migrations.")
    migrate_on_start: bool | None = Field(
        None,
        description="Bring the schema up to date before the service is ready; unset: in development only.",
    )

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        scheme, separator, rest = url.get_secret_value().partition("://")
        if not separator or scheme not in _POSTGRESQL | _SQLITE:
            raise ValueError("must start with postgresql:// or sqlite:///")
        path, _, query = rest.partition("?")
        if scheme in _SQLITE and (path in {"", "/", "/:memory:"} or "memory" in query):
            raise ValueError("must name a file: connections cannot share an SQLite database in memory")
        if scheme in _POSTGRESQL and not _can_be_read(rest):
            # The driver would quote a part of it, which is a part of the password as a rule.
            raise ValueError(
                "cannot be read: special characters of a password are written as in %2F, ports are numbers, "
                "options are name=value"
            )
        return url

    @property
    def is_sqlite(self) -> bool:
        """Tell whether the data is in an SQLite file; else it is in PostgreSQL."""
        return self.url.get_secret_value().partition("://")[0] in _SQLITE

    @override
    def production_mistakes(self) -> Iterable[Mistake]:
        """Refuse to keep data in a file that nobody chose."""
        if self.url.get_secret_value() == DEFAULT_URL:
            yield Mistake(
                "DATABASE_URL", "must be set in production: the default is a file that a new release loses"
            )


def _can_be_read(rest: str) -> bool:
    """Tell whether the driver can take apart what follows the scheme of a PostgreSQL URL.

    A bare ``/``, ``?``, ``#`` or ``@`` in a password ends it early: what follows is no host then, or no option.
    """
    try:
        parts = urlsplit(f"postgresql://{rest}")
    except ValueError:
        return False
    hosts = parts.netloc.partition("@")[2] if "@" in parts.netloc else parts.netloc
    options = [option for option in parts.query.split("&") if option]
    return all(_HOST.fullmatch(host) for host in hosts.split(",")) and all(
        "=" in option for option in options
    )
