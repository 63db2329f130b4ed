"""The remote source that a URL names.

aws-secretsmanager://orders/production?region=eu-west-1
aws-ssm:///orders/production?region=eu-west-1
azure-keyvault://orders-vault
gcp-secretmanager://orders-project
vault://vault.example.org:8200/secret/orders
consul://consul.example.org:8500/orders/production
"""

from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, urlsplit

from chassis.secrets.source import SecretSource, SecretSourceError

__all__ = ["Credential", "remote_source"]

Credential = Callable[[str], str]
"""Looks up a variable such as VAULT_TOKEN; empty when it is not set."""


def remote_source(url: str, credential: Credential) -> SecretSource:
    """Return the source that the URL names. Nothing is asked before ``fetch``.

    Raises ``SecretSourceError`` for a URL that names none, or when the source's extra is not installed.
    """
    try:
        parts = urlsplit(url)
        parameters = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        _ = parts.port
    except ValueError:
        raise SecretSourceError("it must be a URL, such as vault://host:8200/secret/orders") from None
    build = _SOURCES.get(parts.scheme)
    if build is None:
        raise SecretSourceError(f"it must begin with one of {', '.join(f'{s}://' for s in _SOURCES)}")
    if not parts.netloc + parts.path.strip("/"):
        raise SecretSourceError(f"it must say what to read: {parts.scheme}://...")
    return build(parts, parameters, credential)


def _aws_secrets_manager(parts: SplitResult, parameters: dict[str, str], _: Credential) -> SecretSource:
    from chassis.secrets.aws import SecretsManager

    return SecretsManager(parts.netloc + parts.path, parameters.get("region"), parameters.get("endpoint"))


def _aws_ssm(parts: SplitResult, parameters: dict[str, str], _: Credential) -> SecretSource:
    from chassis.secrets.aws import ParameterStore

    path = "/" + (parts.netloc + parts.path).strip("/")
    return ParameterStore(path, parameters.get("region"), parameters.get("endpoint"))


def _azure(parts: SplitResult, _parameters: dict[str, str], _: Credential) -> SecretSource:
    from chassis.secrets.azure import KeyVault

    host = parts.netloc if "." in parts.netloc else f"{parts.netloc}.vault.azure.net"
    return KeyVault(f"https://{host}")


def _gcp(parts: SplitResult, _parameters: dict[str, str], _: Credential) -> SecretSource:
    from chassis.secrets.gcp import SecretManager

    return SecretManager(parts.netloc)


def _vault(parts: SplitResult, parameters: dict[str, str], credential: Credential) -> SecretSource:
    from chassis.secrets.vault import Vault

    mount, _, path = parts.path.strip("/").partition("/")
    return Vault(
        _base_url(parts, parameters), mount, path, credential("VAULT_TOKEN"), parameters.get("namespace")
    )


def _consul(parts: SplitResult, parameters: dict[str, str], credential: Credential) -> SecretSource:
    from chassis.secrets.consul import Consul

    return Consul(_base_url(parts, parameters), parts.path.strip("/"), credential("CONSUL_HTTP_TOKEN"))


def _base_url(parts: SplitResult, parameters: dict[str, str]) -> str:
    # TLS unless said otherwise: these answers are secrets.
    host = parts.netloc.rpartition("@")[2]
    return f"{'http' if parameters.get('tls') == 'false' else 'https'}://{host}"


_SOURCES: dict[str, Callable[[SplitResult, dict[str, str], Credential], SecretSource]] = {
    "aws-secretsmanager": _aws_secrets_manager,
    "aws-ssm": _aws_ssm,
    "azure-keyvault": _azure,
    "gcp-secretmanager": _gcp,
    "vault": _vault,
    "consul": _consul,
}
