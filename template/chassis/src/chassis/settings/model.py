"""The two base classes of settings: the group of one feature, and the whole of a service.

    class PaymentSettings(Group, prefix="PAYMENTS_"):
        api_key: SecretStr = Field(description="Key of the payment provider.")
        timeout: float = Field(2.0, gt=0, description="Seconds to wait for the provider.")

    class Settings(ServiceSettings):
        payments: PaymentSettings

reads ``PAYMENTS_API_KEY`` and ``PAYMENTS_TIMEOUT``. Settings never change once they are built.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from chassis.settings.disclosure import disclosed
from chassis.settings.mistakes import Mistake

__all__ = ["AnyStrength", "Group", "Loading", "Prefix", "Settings", "Variable"]


class Variable(NamedTuple):
    """Names a field's variable in full: ``enabled: Annotated[bool, Variable("RATE_LIMITING_ENABLED")]``."""

    name: str


class Prefix(NamedTuple):
    """Gives one use of a group its prefix: ``replica: Annotated[DatabaseSettings, Prefix("REPLICA_")]``."""

    prefix: str


class AnyStrength(NamedTuple):
    """Exempts a secret from the strength check of production, with the reason, which reviewers read.

    For secrets that somebody else chose, such as a provider's short key.
    """

    reason: str


class Loading:
    """How settings came to be. All loadings are equal, so that settings compare by their values alone."""

    __slots__ = ("loaded", "sources", "warnings")

    def __init__(
        self,
        *,
        loaded: bool = False,
        sources: Mapping[tuple[str, ...], str] | None = None,
        warnings: tuple[Mistake, ...] = (),
    ) -> None:
        self.loaded: Final = loaded
        self.sources: Final = sources or {}
        self.warnings: Final = warnings

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loading)

    @override
    def __hash__(self) -> int:
        return hash(Loading)


class Group(BaseModel):
    """The settings of one feature.

    ``prefix`` starts the name of every variable of the group. A group without one takes the name of the
    field it is used as (``payments`` reads ``PAYMENTS_*``), after the prefix of the group around it.
    """

    # Built when first needed: a service builds one schema, that of its own settings with all groups in it, and
    # none for each group and each class between.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        # Neither can be waited for, counted or compared with, and pydantic's bounds let nan through.
        allow_inf_nan=False,
        validate_by_name=True,
        defer_build=True,
    )

    variable_prefix: ClassVar[str | None] = None

    @override
    def __init_subclass__(cls, *, prefix: str | None = None, **config: Any) -> None:
        super().__init_subclass__(**config)
        if prefix is not None:
            cls.variable_prefix = prefix

    def production_mistakes(self) -> Iterable[Mistake]:
        """Say what must not go to production. ``load`` asks when the environment is production."""
        return ()

    @override
    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, disclosed(value)) for name, value in super().__repr_args__())


class Settings(BaseSettings):
    """The settings of a service, composed of groups.

    ``Settings(...)`` uses its arguments and the code's defaults alone, so a test is hermetic. ``load`` reads
    every source.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        validate_by_name=True,
        defer_build=True,
    )

    _loading: Loading = PrivateAttr(default_factory=Loading)

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keep construction to the arguments: ``load`` passes what it read as such."""
        return (init_settings,)

    @property
    def loading(self) -> Loading:
        """How these settings came to be."""
        return self._loading

    def remember(self, loading: Loading) -> None:
        """Note where the values came from. ``load`` does, once."""
        self._loading = loading

    @property
    def warnings(self) -> tuple[Mistake, ...]:
        """What ``load`` found odd but could start with, such as a variable that is almost right."""
        return self._loading.warnings

    def production_mistakes(self) -> Iterable[Mistake]:
        """Say what must not go to production; a subclass that adds to it yields from ``super()`` first."""
        return ()

    @override
    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, disclosed(value)) for name, value in super().__repr_args__())
