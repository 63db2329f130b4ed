"""HashiCorp Vault and OpenBao: one secret of the key/value engine, version 2.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from chassis.secrets.http import get_json
from chassis.secrets.source import SecretSourceError, as_text

__all__ = ["Vault"]


@dataclass(frozen=True, slots=True)
class Vault:
    """The entries of the secret at ``path`` of the engine mounted at ``mount`` are the variables."""

    base_url: str
    mount: str
    path: str
    token: str = field(repr=False)
    namespace: str | None = None

    def fetch(self) -> Mapping[str, str]:
        """Read the newest version."""
        if not self.mount or not self.path:
            raise SecretSourceError("the URL must name mount and path: vault://host:8200/secret/orders")
        if not self.token:
            raise SecretSourceError("VAULT_TOKEN is not set: set it in the environment or in a secret file")
        headers = {"X-Vault-Token": self.token, "X-Vault-Request": "true"}
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        url = f"{self.base_url}/v1/{quote(self.mount)}/data/{quote(self.path)}"
        document = get_json(url, headers, {})
        outer = document.get("data") if isinstance(document, dict) else None
        inner = outer.get("data") if isinstance(outer, dict) else None
        return as_text(inner, f"the secret {self.mount}/{self.path}")
