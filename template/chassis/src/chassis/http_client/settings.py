"""What a service can tell its HTTP clients."""

from pydantic import Field

from chassis.settings import Group

__all__ = ["HttpClientSettings"]


class HttpClientSettings(Group, prefix="HTTP_CLIENT_"):
    """Times, pool, retries and circuit breaker of each client.

    A client that differs gets ``settings.http_client.model_copy(update={"read_timeout": 60.0})``.
    """

    connect_timeout: float = Field(2.0, gt=0, description="Seconds to wait for a connection to open.")
    read_timeout: float = Field(10.0, gt=0, description="Seconds to wait for the next bytes of a response.")
    write_timeout: float = Field(10.0, gt=0, description="Seconds to wait until the next bytes are sent.")
    pool_timeout: float = Field(2.0, gt=0, description="Seconds to wait for a free connection of the pool.")
    deadline: float = Field(
        30.0,
        gt=0,
        description="Seconds one call may take in all, with its retries and the waits between them.",
    )

    max_connections: int = Field(100, ge=1, description="Connections to one upstream, at most.")
    max_idle_connections: int = Field(20, ge=0, description="Idle connections that are kept open, at most.")
    idle_seconds: float = Field(
        15.0, ge=0, description="Seconds an idle connection is kept; shorter than the upstream keeps it."
    )
    max_response_bytes: int = Field(
        16 * 1024 * 1024,
        ge=0,
        description="Largest response body in bytes, after decompression; 0 is no limit.",
    )
    trust_env: bool = Field(
        True, description="Honour HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR."
    )

    retries: int = Field(
        2, ge=0, le=10, description="Further attempts of an idempotent call after the first one failed."
    )
    backoff_initial: float = Field(
        0.1,
        gt=0,
        description="Longest wait in seconds before the first retry; doubles with each further one.",
    )
    backoff_max: float = Field(5.0, gt=0, description="Longest wait in seconds before any retry.")
    retry_after_max: float = Field(
        10.0,
        ge=0,
        description="Longest Retry-After in seconds that is waited for; a longer one is not retried.",
    )
    retry_budget: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Retries allowed for each call, in the long run: 0.2 is one for five calls.",
    )
    retry_burst: int = Field(
        10, ge=0, description="Retries allowed in a row before the budget alone decides; 0 allows none."
    )

    breaker_failures: int = Field(
        5, ge=1, description="Failures in a row that open the circuit to an upstream."
    )
    breaker_failure_rate: float = Field(
        0.5, gt=0, le=1, description="Share of failed calls in the window that opens the circuit."
    )
    breaker_minimum_calls: int = Field(
        20, ge=1, description="Calls the window must hold before the share of failures counts."
    )
    breaker_window: float = Field(30.0, gt=0, description="Seconds over which calls are counted.")
    breaker_open_seconds: float = Field(
        15.0, gt=0, description="Seconds an open circuit refuses calls before it lets a probe through."
    )
    breaker_probes: int = Field(
        1, ge=1, description="Calls let through at a time while the circuit is half open; all must succeed."
    )
