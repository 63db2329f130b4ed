"""What can be set about the edge of a service."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from typing_extensions import override

from chassis.pattern import pattern
from chassis.security.proxies import UNIX
from chassis.settings import Group, Mistake

__all__ = ["API_CONTENT_SECURITY_POLICY", "SecuritySettings"]

API_CONTENT_SECURITY_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
"""For responses that are data: a browser that shows one as a page loads and runs nothing."""

_MAPPED: Final = 96  # bits before the address in ::ffff:10.0.0.1
_ORIGIN: Final = pattern(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_HOST: Final = pattern(r"\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|[0-9a-f:.]*:[0-9a-f:.]*")
_TOKEN: Final = pattern(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_POLICY: Final = pattern(r"[\x20-\x7e]*")


def _origin(value: str) -> str:
    origin = value.strip().rstrip("/").lower()
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise ValueError("must be written as https://app.example.com, with a port if it is not the usual one")
    return origin


def _host(value: str) -> str:
    host = value.strip().lower().strip("[]").rstrip(".")
    if not _HOST.fullmatch(host):
        raise ValueError("must be written as api.example.com or *.example.com, with neither scheme nor port")
    return host


def _token(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError("must be the name of an HTTP method or header")
    return value


def _policy(value: str) -> str:
    if not _POLICY.fullmatch(value):
        raise ValueError("must be one line of ASCII text")
    return value


def _proxy(value: object) -> object:
    if value == UNIX:
        return value
    try:
        network = ip_network(str(value).strip())
    except ValueError:
        raise ValueError("must be an address, a network such as 10.0.0.0/8, or unix") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:  # addresses are compared in their own form
            return ip_network((mapped, network.prefixlen - _MAPPED))
    return network


Proxy = Annotated[IPv4Network | IPv6Network | Literal["unix"], BeforeValidator(_proxy)]
Origin = Annotated[str, AfterValidator(_origin)]
Host = Annotated[str, AfterValidator(_host)]
Token = Annotated[str, AfterValidator(_token)]


class SecuritySettings(Group, prefix=""):
    """Proxies, cross-origin access, hosts, limits and headers."""

    trusted_proxies: tuple[Proxy, ...] = Field(
        (),
        description=(
            "Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed, for example "
            "10.0.0.0/8; unix for a proxy on a Unix socket. None by default."
        ),
    )
    cors_origins: tuple[Origin, ...] = Field(
        (),
        description="Origins whose pages may read responses, for example https://app.example.com; * for all.",
    )
    cors_methods: tuple[Token, ...] = Field(
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), description="Methods that such pages may use."
    )
    cors_headers: tuple[Token, ...] = Field(
        ("Authorization", "Content-Type", "X-Request-ID"),
        description="Request headers that such pages may send.",
    )
    cors_credentials: bool = Field(
        False, description="Whether such pages may send cookies; needs origins that are named."
    )
    cors_max_age: int = Field(
        600, ge=0, le=86_400, description="Seconds a browser remembers what it may send."
    )
    allowed_hosts: tuple[Host, ...] = Field(
        ("*",),
        description="Hosts that are answered: api.example.com, *.example.com for its subdomains, * for any.",
    )
    max_body_bytes: int = Field(
        1_048_576,
        ge=0,
        description="Largest request body in bytes; a larger one is refused with 413. 0: no limit.",
    )
    hsts_seconds: int = Field(
        31_536_000,
        ge=0,
        description="Seconds browsers must use HTTPS for this host, told over HTTPS only. 0: not told.",
    )
    hsts_include_subdomains: bool = Field(
        False, description="Whether that holds for every subdomain of this host too."
    )
    docs_enabled: bool | None = Field(
        None, description="Whether /docs and the OpenAPI document are served; unset: except in production."
    )
    content_security_policy: Annotated[str, AfterValidator(_policy)] = Field(
        API_CONTENT_SECURITY_POLICY,
        description="Content-Security-Policy of every response that sets none itself; /docs sets its own.",
    )

    @field_validator("cors_credentials")
    @classmethod
    def _credentials_need_names(cls, allowed: bool, info: ValidationInfo) -> bool:
        # Browsers refuse the pair; servers that reflect any origin to please them open every session.
        if allowed and "*" in info.data.get("cors_origins", ()):
            raise ValueError("needs CORS_ORIGINS that are named: with * any page could act as the user")
        return allowed

    @field_validator("allowed_hosts")
    @classmethod
    def _some_host(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts:
            raise ValueError("must name at least one host, or be *")
        return hosts

    @override
    def production_mistakes(self) -> Iterable[Mistake]:
        """Refuse what opens the service to everyone."""
        if "*" in self.cors_origins:
            yield Mistake(
                "CORS_ORIGINS", "must name its origins in production: * lets every web page read responses"
            )
        if any(network != "unix" and network.prefixlen == 0 for network in self.trusted_proxies):
            yield Mistake("TRUSTED_PROXIES", "must not trust every address: each client could invent its own")
