"""AWS Secrets Manager and Systems Manager Parameter Store, through boto3.

Credentials are found the way boto3 finds them. The sources of pydantic-settings are not used here: their
client waits a minute for each of five attempts when the endpoint does not answer.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chassis.secrets.source import SecretSourceError, as_text, optional_module

__all__ = ["ParameterStore", "SecretsManager"]

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 5
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class SecretsManager:
    """One secret whose value is a JSON object of variables."""

    secret_id: str
    region: str | None = None
    endpoint: str | None = None

    def fetch(self) -> Mapping[str, str]:
        """Read the current version."""
        with _client("secretsmanager", self.region, self.endpoint) as client:
            text = client.get_secret_value(SecretId=self.secret_id).get("SecretString", "")
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        return as_text(document, f"the secret {self.secret_id}")


@dataclass(frozen=True, slots=True)
class ParameterStore:
    """All parameters below a path; ``/orders/production/logging/level`` is read as ``LOGGING__LEVEL``."""

    path: str
    region: str | None = None
    endpoint: str | None = None

    def fetch(self) -> Mapping[str, str]:
        """Read all parameters, decrypted."""
        prefix = self.path.rstrip("/") + "/"
        with _client("ssm", self.region, self.endpoint) as client:
            pages = client.get_paginator("get_parameters_by_path").paginate(
                Path=self.path, Recursive=True, WithDecryption=True
            )
            return {
                parameter["Name"].removeprefix(prefix): parameter["Value"]
                for page in pages
                for parameter in page["Parameters"]
            }


@contextmanager
def _client(service: str, region: str | None, endpoint: str | None) -> Iterator[Any]:
    boto3 = optional_module("boto3", "aws")
    errors = optional_module("botocore.exceptions", "aws")
    config = optional_module("botocore.config", "aws").Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
    )
    try:
        client = boto3.client(service, region_name=region, endpoint_url=endpoint, config=config)
        try:
            yield client
        finally:
            client.close()
    except (errors.BotoCoreError, errors.ClientError) as error:
        raise SecretSourceError(str(error)) from error
