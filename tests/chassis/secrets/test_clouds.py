"""The clouds' stores, through their real clients: AWS against moto's server, the others against fakes."""

import base64
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from chassis.secrets import SecretSourceError, remote_source
from chassis.secrets.azure import KeyVault
from chassis.secrets.gcp import SecretManager


def nothing(_: str) -> str:
    return ""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def aws_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("aws_account")
class TestAws:
    REGION = "eu-west-1"

    def client(self, moto: str, service: str) -> Any:
        import boto3

        return boto3.client(service, region_name=self.REGION, endpoint_url=moto)

    def url(self, moto: str, target: str) -> str:
        return f"{target}?region={self.REGION}&endpoint={moto}"

    def test_secrets_manager(self, moto: str) -> None:
        document = {"DATABASE_URL": "x", "PORT": 1}
        self.client(moto, "secretsmanager").create_secret(
            Name="orders/live", SecretString=json.dumps(document)
        )
        source = remote_source(self.url(moto, "aws-secretsmanager://orders/live"), nothing)
        assert source.fetch() == {"DATABASE_URL": "x", "PORT": "1"}

    @pytest.mark.parametrize("text", ["hunter2", "[1]"])
    def test_secret_that_is_no_object(self, moto: str, text: str) -> None:
        name = f"plain-{len(text)}"
        self.client(moto, "secretsmanager").create_secret(Name=name, SecretString=text)
        with pytest.raises(SecretSourceError, match="must hold a JSON object") as caught:
            remote_source(self.url(moto, f"aws-secretsmanager://{name}"), nothing).fetch()
        assert caught.value.__context__ is None

    def test_missing_secret(self, moto: str) -> None:
        with pytest.raises(SecretSourceError, match="ResourceNotFoundException"):
            remote_source(self.url(moto, "aws-secretsmanager://nothing"), nothing).fetch()

    def test_parameter_store(self, moto: str) -> None:
        client = self.client(moto, "ssm")
        for number in range(12):
            client.put_parameter(Name=f"/orders/live/N{number}", Value=str(number), Type="SecureString")
        client.put_parameter(Name="/orders/live/logging/level", Value="debug", Type="String")
        client.put_parameter(Name="/other/KEY", Value="x", Type="String")
        found = remote_source(self.url(moto, "aws-ssm:///orders/live"), nothing).fetch()
        assert found == {f"N{number}": str(number) for number in range(12)} | {"logging/level": "debug"}

    def test_down(self, closed_port: int) -> None:
        url = self.url(f"http://127.0.0.1:{closed_port}", "aws-ssm:///orders")
        with pytest.raises(SecretSourceError, match="Could not connect to the endpoint"):
            remote_source(url, nothing).fetch()

    def test_endpoint_that_is_no_url(self) -> None:
        with pytest.raises(SecretSourceError, match="Invalid endpoint: localhost:4566"):
            remote_source(self.url("localhost:4566", "aws-ssm:///orders"), nothing).fetch()

    def test_credential_that_no_header_may_hold_is_not_quoted(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # boto3 keeps the credentials of its first client.
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "hunter2\n")
        url = self.url(f"http://{store.host}", "aws-ssm:///orders")
        with pytest.raises(SecretSourceError, match="could not be made: HTTPClientError") as caught:
            remote_source(url, nothing).fetch()
        assert "hunter2" not in str(caught.value)
        assert caught.value.__context__ is None


class TestAzure:
    """https://learn.microsoft.com/rest/api/keyvault/secrets"""

    @pytest.fixture
    def vault(self, store: Any) -> KeyVault:
        from azure.core.credentials import AccessToken
        from azure.core.pipeline.transport import RequestsTransport

        class Credential:
            def get_token(self, *_: str, **__: Any) -> AccessToken:
                return AccessToken("t0ken", 1 << 40)

        class Loopback(RequestsTransport):
            def send(self, request: Any, **options: Any) -> Any:
                asked, request.url = (
                    request.url,
                    request.url.replace("https://orders.vault.azure.net", f"http://{store.host}"),
                )
                try:
                    return super().send(request, **options)
                finally:
                    request.url = asked

        def challenge(asked: Any) -> tuple[int, dict[str, str]] | None:
            if "authorization" in asked.headers:
                return None
            resource = 'authorization="https://login.example/x", resource="https://vault.azure.net"'
            return 401, {"WWW-Authenticate": f"Bearer {resource}"}

        store.gate = challenge
        return KeyVault("https://orders.vault.azure.net", Credential(), {"transport": Loopback()})

    def listing(self, store: Any, version: str, *names: str) -> None:
        base = "https://orders.vault.azure.net/secrets"
        value = [{"id": f"{base}/{name}", "attributes": {"enabled": name != "OFF"}} for name in names]
        store.answers[f"/secrets?api-version={version}"] = (200, {"value": value, "nextLink": None})

    @pytest.fixture
    def version(self) -> str:
        from azure.keyvault.secrets import ApiVersion

        return str(next(iter(ApiVersion)).value)

    def test_values_are_read_when_asked_for(self, store: Any, vault: KeyVault, version: str) -> None:
        self.listing(store, version, "DATABASE-URL", "OTHER", "OFF")
        secret = {
            "id": "https://orders.vault.azure.net/secrets/DATABASE-URL/1",
            "value": "x",
            "attributes": {},
        }
        store.answers[f"/secrets/DATABASE-URL/?api-version={version}"] = (200, secret)
        found = vault.fetch()
        assert sorted(found) == ["DATABASE-URL", "OTHER"]
        assert len(found) == 2
        assert found["DATABASE-URL"] == "x"
        assert store.asked[-1].headers["authorization"] == "Bearer t0ken"
        with pytest.raises(SecretSourceError, match="the secret OTHER cannot be read: ResourceNotFoundError"):
            found["OTHER"]

    def test_refused(self, vault: KeyVault) -> None:
        with pytest.raises(SecretSourceError, match="did not answer"):
            vault.fetch()

    def test_credentials_are_those_of_azure_s_own_tools(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from azure.core.exceptions import ClientAuthenticationError

        def find() -> None:
            raise ClientAuthenticationError("nobody is signed in")

        monkeypatch.setattr("azure.identity.DefaultAzureCredential", find)
        with pytest.raises(SecretSourceError, match="nobody is signed in"):
            remote_source("azure-keyvault://orders", nothing).fetch()

    @pytest.mark.parametrize(
        ("variable", "value", "words"),
        [
            ("AZURE_CLIENT_CERTIFICATE_PATH", "/nonexistent", "No such file"),
            ("AZURE_TENANT_ID", "b!", "Invalid tenant ID"),
        ],
    )
    def test_credentials_that_cannot_be_used(
        self, variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = {"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "b", "AZURE_CLIENT_CERTIFICATE_PATH": __file__}
        for name, text in {**known, variable: value}.items():
            monkeypatch.setenv(name, text)
        with pytest.raises(SecretSourceError, match=f"did not answer: .*{words}"):
            remote_source("azure-keyvault://orders", nothing).fetch()

    def test_host_of_the_vault(self) -> None:
        assert remote_source("azure-keyvault://orders", nothing) == KeyVault("https://orders.vault.azure.net")
        assert remote_source("azure-keyvault://o.vault.azure.cn", nothing) == KeyVault(
            "https://o.vault.azure.cn"
        )


class TestGcp:
    """https://cloud.google.com/secret-manager/docs/reference/rest"""

    @pytest.fixture
    def manager(self, store: Any) -> SecretManager:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.secretmanager import SecretManagerServiceClient
        from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
            SecretManagerServiceRestTransport,
        )

        transport = SecretManagerServiceRestTransport(
            host=f"http://{store.host}", credentials=AnonymousCredentials()
        )
        return SecretManager("orders", SecretManagerServiceClient(transport=transport))

    def answer(self, store: Any, path: str, document: object, status: int = 200) -> None:
        store.answers[f"{path}?%24alt=json%3Benum-encoding%3Dint"] = (status, document)

    def test_values_are_read_when_asked_for(self, store: Any, manager: SecretManager) -> None:
        names = [{"name": "projects/1/secrets/KEY"}, {"name": "projects/1/secrets/OTHER"}]
        self.answer(store, "/v1/projects/orders/secrets", {"secrets": names})
        payload = {"payload": {"data": base64.b64encode(b"x").decode()}}
        self.answer(store, "/v1/projects/1/secrets/KEY/versions/latest:access", payload)
        found = manager.fetch()
        assert (sorted(found), len(found), found["KEY"]) == (["KEY", "OTHER"], 2, "x")
        with pytest.raises(SecretSourceError, match="the secret OTHER cannot be read: NotFound"):
            found["OTHER"]

    def test_bytes_that_are_no_text(self, store: Any, manager: SecretManager) -> None:
        self.answer(store, "/v1/projects/orders/secrets", {"secrets": [{"name": "projects/1/secrets/KEY"}]})
        payload = {"payload": {"data": base64.b64encode(b"\xff\xfe").decode()}}
        self.answer(store, "/v1/projects/1/secrets/KEY/versions/latest:access", payload)
        with pytest.raises(SecretSourceError, match="the secret KEY must be UTF-8 text") as caught:
            manager.fetch()["KEY"]
        assert caught.value.__context__ is None

    def test_credentials_that_end_between_the_list_and_a_value(
        self, store: Any, manager: SecretManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from google.auth.exceptions import RefreshError

        def refuse(*_: object, **__: object) -> None:
            raise RefreshError("expired")

        self.answer(store, "/v1/projects/orders/secrets", {"secrets": [{"name": "projects/1/secrets/KEY"}]})
        found = manager.fetch()
        monkeypatch.setattr(manager.client, "access_secret_version", refuse)
        with pytest.raises(SecretSourceError, match="the secret KEY cannot be read: RefreshError"):
            found["KEY"]

    def test_refused(self, store: Any, manager: SecretManager) -> None:
        self.answer(store, "/v1/projects/orders/secrets", {"error": {"message": "no"}}, 403)
        with pytest.raises(SecretSourceError, match="the project orders did not answer"):
            manager.fetch()

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent")
        with pytest.raises(SecretSourceError, match="did not answer: File /nonexistent was not found"):
            remote_source("gcp-secretmanager://orders", nothing).fetch()
