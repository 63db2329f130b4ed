"""AWS Secrets Manager and Systems Manager Parameter Store, through boto3.

Credentials are found the way boto3 finds them. The sources of pydantic-settings are not used here: their
client waits a minute for each of five attempts when the endpoint does not answer.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from chassis.secrets.source import SecretSourceError, as_text, optional_module

__all__ = ["ParameterStore", "SecretsManager"]

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 5
ATTEMPTS = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SecretsManager:
    """One secret whose value is a JSON object of variables."""

    secret_id: str
    region: str | None = None
    endpoint: str | None = None

    def fetch(self) -> Mapping[str, str]:
        """Read the current version."""

        def read(client: Any) -> str:
            return str(client.get_secret_value(SecretId=self.secret_id).get("SecretString", ""))

        text = _ask("secretsmanager", self.region, self.endpoint, read)
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

        def read(client: Any) -> dict[str, str]:
            pages = client.get_paginator("get_parameters_by_path").paginate(
                Path=self.path, Recursive=True, WithDecryption=True
            )
            return {
                parameter["Name"].removeprefix(prefix): parameter["Value"]
                for page in pages
                for parameter in page["Parameters"]
            }

        return _ask("ssm", self.region, self.endpoint, read)


def _ask(service: str, region: str | None, endpoint: str | None, read: Callable[[Any], T]) -> T:
    boto3 = optional_module("boto3", "aws")
    errors = optional_module("botocore.exceptions", "aws")
    config = optional_module("botocore.config", "aws").Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
    )
    try:
        with closing(
            boto3.client(service, region_name=region, endpoint_url=endpoint, config=config)
        ) as client:
            return read(client)
    # ValueError: an endpoint that is no URL.
    except (errors.BotoCoreError, errors.ClientError, ValueError) as error:
        # Whatever else stopped the client is quoted in this one: a header with the session's token among it.
        unknown = type(error) is errors.HTTPClientError
        problem = "the request could not be made: HTTPClientError" if unknown else str(error)
    # Without its cause, which may quote a credential.
    raise SecretSourceError(problem)
