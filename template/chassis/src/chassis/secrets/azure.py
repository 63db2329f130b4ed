"""Azure Key Vault, through Azure's own clients and the lazy mapping of pydantic-settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from chassis.secrets.source import SecretSourceError, optional_module

__all__ = ["KeyVault"]

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 5
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class KeyVault:
    """The secrets of one vault. A name has dashes for underscores there: ``DATABASE-URL``.

    ``credential`` is by default what ``DefaultAzureCredential`` finds: a managed identity, the environment
    or the signed-in developer. ``options`` go to the client as they are.
    """

    url: str
    credential: Any = None
    options: Mapping[str, Any] | None = None

    def fetch(self) -> Mapping[str, str]:
        """List the enabled secrets; each value is read when it is asked for."""
        from pydantic_settings.sources.providers.azure import AzureKeyVaultMapping

        failure: type[Exception] = optional_module("azure.core.exceptions", "azure").AzureError
        identity = optional_module("azure.identity", "azure")
        secrets = optional_module("azure.keyvault.secrets", "azure")
        try:
            client = secrets.SecretClient(
                vault_url=self.url,
                credential=self.credential or identity.DefaultAzureCredential(),
                **{
                    "connection_timeout": CONNECT_TIMEOUT_SECONDS,
                    "read_timeout": READ_TIMEOUT_SECONDS,
                    "retry_total": ATTEMPTS - 1,
                    **(self.options or {}),
                },
            )
            values = AzureKeyVaultMapping(
                client, case_sensitive=True, snake_case_conversion=False, env_prefix=None
            )
        # The last two: what the environment says of the credential cannot be used.
        except (failure, ValueError, OSError) as error:
            raise SecretSourceError(f"{self.url} did not answer: {error}") from error
        return _Secrets(values, failure)


class _Secrets(Mapping[str, str]):
    def __init__(self, values: Mapping[str, str | None], failure: type[Exception]) -> None:
        self._values = values
        self._failure = failure

    @override
    def __getitem__(self, name: str) -> str:
        try:
            return self._values[name] or ""
        except self._failure as error:
            raise SecretSourceError(f"the secret {name} cannot be read: {type(error).__name__}") from error

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @override
    def __len__(self) -> int:
        return len(self._values)
