"""Everything the chassis can be told, composed from the groups that its features own.

A service inherits from ``ServiceSettings`` and adds groups of its own. ``chassis.settings.load`` reads them
from all sources and reports every mistake at once.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from typing_extensions import override

from chassis.health import HealthSettings
from chassis.http_client import HttpClientSettings
from chassis.lifecycle import LifecycleSettings
from chassis.logging import LoggingSettings
from chassis.metrics import MetricsSettings
from chassis.ratelimit import RateLimitSettings
from chassis.security import SecuritySettings
from chassis.settings import Group, Mistake, Settings, Variable
from chassis.tracing import TracingSettings

__all__ = ["EnvironmentName", "ServerSettings", "ServiceIdentity", "ServiceSettings"]


class EnvironmentName(StrEnum):
    """Where the service runs. Production refuses to start on weak settings."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class ServiceIdentity(Group, prefix="SERVICE_"):
    """Who the service is, in logs, metrics, traces and its API description."""

    name: str = Field("service", min_length=1, max_length=63, description="Name of the service.")
    version: str = Field("0.0.0", description="Version of the service's own code.")
    description: str = Field("", description="One sentence for the API documentation.")
    team: str = Field("", description="The team that owns the service.")


class ServerSettings(Group, prefix=""):
    """The process: where it listens and how many workers serve."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    workers: int = Field(1, ge=1, le=256, description="Number of worker processes.")
    reload: bool = Field(False, description="Restart when a source file changes; for development.")
    management_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="A separate port for metrics, detailed health and docs; unset: the service's port.",
    )
    keep_alive: Annotated[float, Variable("KEEP_ALIVE")] = Field(
        65.0,
        ge=0,
        description="Seconds an idle connection is kept; longer than the gateway's, so that it closes first.",
    )

    @field_validator("management_port")
    @classmethod
    def _a_port_of_their_own(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port is not None and port == info.data.get("port"):
            raise ValueError("must be another port than PORT")
        return port


class ServiceSettings(Settings):
    """The settings of every service; each nested group belongs to the feature of that name."""

    environment: EnvironmentName = Field(
        EnvironmentName.DEVELOPMENT, description="development, staging or production."
    )
    debug: bool = Field(False, description="Show the reason of a crash in its response; never in production.")
    fast_path: bool = Field(
        True,
        description="Let requests pass by parts of FastAPI that they cannot use, where its version is known; "
        "false serves every request by FastAPI's own code, which takes longer.",
    )

    service: ServiceIdentity = Field(default_factory=ServiceIdentity)
    server: ServerSettings = Field(default_factory=ServerSettings)
    lifecycle: LifecycleSettings = Field(default_factory=LifecycleSettings)
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    rate_limiting: RateLimitSettings = Field(default_factory=RateLimitSettings)
    security: SecuritySettings = Field(default_factory=SecuritySettings)
    http_client: HttpClientSettings = Field(default_factory=HttpClientSettings)

    @property
    def docs_enabled(self) -> bool:
        """Whether ``/docs`` and the OpenAPI document are served: by default everywhere but in production."""
        chosen = self.security.docs_enabled
        return self.environment is not EnvironmentName.PRODUCTION if chosen is None else chosen

    @override
    def production_mistakes(self) -> Iterable[Mistake]:
        """Refuse debugging output in production."""
        if self.debug:
            yield Mistake("DEBUG", "must be false in production: it shows internals to clients")
        if self.server.reload:
            yield Mistake("RELOAD", "must be false in production")
