"""A small service's settings, and a directory to load them in."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, SecretStr
from typing_extensions import override

from chassis.settings import Group, Mistake, Prefix, Settings, SettingsError, Variable, load


class Stage(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Log(Group, prefix="LOG_"):
    level: str = Field("info", pattern="^[a-z]+$", description="Level.")
    keys: list[str] = Field([])
    caller: bool | None = None


class Limits(Group, prefix="LIMIT_"):
    enabled: Annotated[bool, Variable("LIMITING_ENABLED")] = True
    requests: int = Field(100, gt=0)
    routes: dict[str, str] = Field({})


class Pool(Group):
    size: int = 5


class Database(Group, prefix="DATABASE_"):
    url: str = "sqlite:///orders.db"
    pool: Pool = Pool()

    @override
    def production_mistakes(self) -> Iterable[Mistake]:
        if self.url.startswith("sqlite"):
            yield Mistake("DATABASE_URL", "must be a server in production")


class Payments(Group):
    api_key: SecretStr
    timeout: float = 2.0


class Sample(Settings):
    environment: Stage = Stage.DEVELOPMENT
    debug: bool = False
    logging: Log = Log()
    limits: Limits = Limits()
    database: Database = Field(default_factory=lambda: Database(pool=Pool(size=7)))
    replica: Annotated[Database, Prefix("REPLICA_")] | None = None
    payments: Payments

    @override
    def production_mistakes(self) -> Iterable[Mistake]:
        if self.debug:
            yield Mistake("DEBUG", "must be false in production")


KEY = "k3y-Zq81-vM7x-0pTw"


class Place:
    """A directory with `.env`, `config` and secret files, and what is loaded in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "config").mkdir()
        (root / "secrets").mkdir()

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def load(self, environ: dict[str, str] | None = None, **init: Any) -> Sample:
        given = {"SECRETS_DIR": "secrets", "PAYMENTS_API_KEY": KEY, **(environ or {})}
        return load(Sample, environ=given, directory=self.root, **init)

    def mistakes(self, environ: dict[str, str] | None = None, **init: Any) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.load(environ, **init)
        return [str(mistake) for mistake in caught.value.mistakes]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def sample() -> Callable[..., Sample]:
    return Sample
