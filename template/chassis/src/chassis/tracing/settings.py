"""Settings of the traces. The variables are OpenTelemetry's own where it has one."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from chassis.settings import AnyStrength, Group, Variable

Protocol = Literal["http/protobuf", "grpc", "console"]
Sampler = Literal["parentbased_traceidratio", "traceidratio"]

_DEFAULT_ENDPOINTS = {
    "http/protobuf": "http://localhost:4318",
    "grpc": "http://localhost:4317",
    "console": "stdout",
}


class TracingSettings(Group, prefix="OTEL_"):
    """Whether requests are traced, which of them, and where the spans go."""

    enabled: bool = Field(default=False, description="Trace requests. Needs vendored-chassis[tracing].")
    protocol: Annotated[Protocol, Variable("OTEL_EXPORTER_OTLP_PROTOCOL")] = Field(
        default="http/protobuf",
        description="How spans leave: http/protobuf, grpc, or console, which prints them for development.",
    )
    endpoint: Annotated[str | None, Variable("OTEL_EXPORTER_OTLP_ENDPOINT")] = Field(
        default=None,
        description=(
            "URL of the collector; https for TLS. Unset: http://localhost:4318, or :4317 for grpc. "
            "For http/protobuf the path v1/traces is added."
        ),
    )
    headers: Annotated[
        SecretStr | None,
        Variable("OTEL_EXPORTER_OTLP_HEADERS"),
        AnyStrength("the collector's owner chooses its tokens, and a header may hold no secret at all"),
    ] = Field(
        default=None, description="Headers sent to the collector: name=value,name=value, percent-encoded."
    )
    export_timeout: Annotated[float, Variable("OTEL_EXPORTER_OTLP_TIMEOUT")] = Field(
        default=5.0, gt=0, le=60, description="Seconds that one export may take, with its retries."
    )
    sampler: Annotated[Sampler, Variable("OTEL_TRACES_SAMPLER")] = Field(
        default="parentbased_traceidratio",
        description=(
            "parentbased_traceidratio follows the caller's decision. traceidratio decides alone, for a "
            "service that strangers call, who could ask for every request to be sampled."
        ),
    )
    ratio: Annotated[float, Variable("OTEL_TRACES_SAMPLER_ARG")] = Field(
        default=1.0, ge=0, le=1, description="Part of the traces that is sampled, 0 to 1."
    )
    resource_attributes: str = Field(
        default="", description="Further attributes of the service: name=value,name=value, percent-encoded."
    )
    queue_size: Annotated[int, Variable("OTEL_BSP_MAX_QUEUE_SIZE")] = Field(
        default=2048,
        ge=1,
        description="Spans that wait for their export. Further ones are dropped and counted.",
    )
    batch_size: Annotated[int, Variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")] = Field(
        default=128,
        ge=1,
        le=4096,
        description="Spans in one export. A large batch holds up requests while it is encoded.",
    )
    schedule_delay: Annotated[int, Variable("OTEL_BSP_SCHEDULE_DELAY")] = Field(
        default=1000, ge=10, le=60_000, description="Milliseconds between exports."
    )
    shutdown_timeout: float = Field(
        default=3.0, ge=0, le=60, description="Seconds that the last spans get when the service stops."
    )

    @property
    def collector(self) -> str:
        """Where spans go: a URL, or `stdout`."""
        return self.endpoint or _DEFAULT_ENDPOINTS[self.protocol]

    @field_validator("endpoint")
    @classmethod
    def _url(cls, endpoint: str | None) -> str | None:
        if not endpoint:
            return None
        try:
            parts = urlsplit(endpoint)
            usable = parts.scheme in {"http", "https"} and parts.hostname is not None and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("must be a URL such as http://collector:4318")
        return endpoint

    @field_validator("resource_attributes")
    @classmethod
    def _pairs(cls, text: str) -> str:
        pairs(text)
        return text

    @field_validator("headers")
    @classmethod
    def _secret_pairs(cls, text: SecretStr | None) -> SecretStr | None:
        if text is not None:
            pairs(text.get_secret_value())
        return text

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        if self.batch_size > self.queue_size:
            raise ValueError("OTEL_BSP_MAX_EXPORT_BATCH_SIZE must not be above OTEL_BSP_MAX_QUEUE_SIZE")
        return self


def pairs(text: str) -> Mapping[str, str]:
    """Read `name=value,name=value`, values percent-encoded, as OpenTelemetry's variables have it.

    Raise ValueError for anything else, without repeating it.
    """
    found: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, separator, value = part.partition("=")
        if not separator or not name.strip():
            raise ValueError("must be name=value,name=value")
        found[name.strip()] = unquote(value.strip())
    return found
