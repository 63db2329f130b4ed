"""Google Secret Manager, through Google's own client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from chassis.secrets.source import SecretSourceError, optional_module

__all__ = ["SecretManager"]

TIMEOUT_SECONDS = 8


@dataclass(frozen=True, slots=True)
class SecretManager:
    """The latest versions of the secrets of one project.

    ``client`` is by default one with the application default credentials. The mapping of pydantic-settings
    is not used here: it takes a secret that must not be read for one that is not there.
    """

    project: str
    client: Any = None

    def fetch(self) -> Mapping[str, str]:
        """List the secrets; each value is read when it is asked for."""
        failure: type[Exception] = optional_module("google.api_core.exceptions", "gcp").GoogleAPIError
        refused: type[Exception] = optional_module("google.auth.exceptions", "gcp").GoogleAuthError
        manager = optional_module("google.cloud.secretmanager", "gcp")
        try:
            client = self.client or manager.SecretManagerServiceClient()
            secrets = client.list_secrets(parent=f"projects/{self.project}", timeout=TIMEOUT_SECONDS)
            names = {secret.name.rpartition("/")[2]: secret.name for secret in secrets}
        except (failure, refused) as error:
            raise SecretSourceError(f"the project {self.project} did not answer: {error}") from error
        return _Secrets(client, names, (failure, refused))


class _Secrets(Mapping[str, str]):
    def __init__(self, client: Any, names: Mapping[str, str], failures: tuple[type[Exception], ...]) -> None:
        self._client = client
        self._names = names
        self._failures = failures

    @override
    def __getitem__(self, name: str) -> str:
        try:
            answer = self._client.access_secret_version(
                name=f"{self._names[name]}/versions/latest", timeout=TIMEOUT_SECONDS
            )
        except self._failures as error:
            raise SecretSourceError(f"the secret {name} cannot be read: {type(error).__name__}") from error
        try:
            return str(answer.payload.data.decode())
        except UnicodeDecodeError:
            # Without its cause, which holds the bytes.
            problem = f"the secret {name} must be UTF-8 text"
        raise SecretSourceError(problem)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    @override
    def __len__(self) -> int:
        return len(self._names)
