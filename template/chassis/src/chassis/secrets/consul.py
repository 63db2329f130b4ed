"""Consul: all keys below a prefix of the key/value store.

https://developer.hashicorp.com/consul/api-docs/kv#read-key
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from chassis.secrets.http import get_json
from chassis.secrets.source import SecretSourceError

__all__ = ["Consul"]


@dataclass(frozen=True, slots=True)
class Consul:
    """Keys below ``prefix`` are the variables; ``orders/logging/level`` is read as ``LOGGING__LEVEL``."""

    base_url: str
    prefix: str
    token: str = field(default="", repr=False)

    def fetch(self) -> Mapping[str, str]:
        """Read all keys at once."""
        if not self.prefix:
            raise SecretSourceError("the URL must name a prefix: consul://host:8500/orders")
        headers = {"X-Consul-Token": self.token} if self.token else {}
        below = f"{self.prefix}/"
        document = get_json(f"{self.base_url}/v1/kv/{quote(below)}", headers, {"recurse": "true"})
        try:
            return {
                entry["Key"].removeprefix(below): base64.b64decode(entry["Value"]).decode()
                for entry in document
                if entry["Value"] is not None and entry["Key"] != below
            }
        except (TypeError, KeyError, ValueError):
            problem = f"the keys below {below} are not what Consul's interface documents"
        raise SecretSourceError(problem)
