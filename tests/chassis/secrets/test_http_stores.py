"""Vault and Consul, spoken to as their interfaces are documented."""

import base64
import socket
import threading
from typing import Any

import pytest

from chassis.secrets import SecretSourceError, remote_source


def variables(**known: str) -> Any:
    return lambda name: known.get(name, "")


class TestVault:
    """https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2"""

    PATH = "/v1/secret/data/teams/orders"

    def fetch(self, store: Any, query: str = "", token: str = "t0ken") -> dict[str, str]:
        url = f"vault://{store.host}/secret/teams/orders?tls=false{query}"
        return dict(remote_source(url, variables(VAULT_TOKEN=token)).fetch())

    def test_entries_are_variables(self, store: Any) -> None:
        data = {"DATABASE_URL": "x", "PORT": 8000, "DEBUG": True, "KEYS": ["a"], "NONE": None}
        store.answers[self.PATH] = (200, {"data": {"data": data, "metadata": {"version": 3}}})
        assert self.fetch(store) == {"DATABASE_URL": "x", "PORT": "8000", "DEBUG": "true", "KEYS": '["a"]'}
        assert store.asked[0].headers["x-vault-token"] == "t0ken"
        assert store.asked[0].headers["x-vault-request"] == "true"

    def test_namespace(self, store: Any) -> None:
        store.answers[self.PATH] = (200, {"data": {"data": {}}})
        assert self.fetch(store, "&namespace=team-a") == {}
        assert store.asked[0].headers["x-vault-namespace"] == "team-a"

    @pytest.mark.parametrize(
        ("status", "words"),
        [(403, "not allowed to read"), (404, "nothing is stored there"), (503, "sealed"), (500, "it failed")],
    )
    def test_refusals(self, store: Any, status: int, words: str) -> None:
        store.answers[self.PATH] = (status, {"errors": ["t0ken"]})
        with pytest.raises(SecretSourceError, match=f"answered {status}: .*{words}") as caught:
            self.fetch(store)
        assert "t0ken" not in str(caught.value)

    @pytest.mark.parametrize("answer", [{"data": {"data": [1]}}, {"data": None}, [1], b"hunter2"])
    def test_answer_of_another_shape(self, store: Any, answer: object) -> None:
        store.answers[self.PATH] = (200, answer)
        with pytest.raises(SecretSourceError, match=r"must hold a JSON object|is no JSON") as caught:
            self.fetch(store)
        assert caught.value.__context__ is None

    def test_redirect_is_not_followed(self, store: Any) -> None:
        store.gate = lambda _: (307, {"Location": "http://127.0.0.1:1/elsewhere"})
        with pytest.raises(SecretSourceError, match="answered 307"):
            self.fetch(store)

    def test_token_is_required_and_never_shown(self, store: Any) -> None:
        with pytest.raises(SecretSourceError, match="VAULT_TOKEN is not set"):
            self.fetch(store, token="")
        assert "t0ken" not in repr(remote_source("vault://h/a/b", variables(VAULT_TOKEN="t0ken")))

    def test_path_is_required(self) -> None:
        with pytest.raises(SecretSourceError, match="must name mount and path"):
            remote_source("vault://h/secret", variables(VAULT_TOKEN="t")).fetch()

    def test_down(self, closed_port: int) -> None:
        source = remote_source(f"vault://127.0.0.1:{closed_port}/a/b?tls=false", variables(VAULT_TOKEN="t"))
        with pytest.raises(SecretSourceError, match="did not answer"):
            source.fetch()

    @pytest.mark.parametrize("token", ["hvs.top\n", "hvs.t\0p", "hvs.tôp"])
    def test_token_that_no_header_may_hold_is_not_quoted(self, store: Any, token: str) -> None:
        with pytest.raises(SecretSourceError, match="holds a character that is not allowed") as caught:
            self.fetch(store, token=token)
        assert "hvs" not in str(caught.value)
        assert caught.value.__context__ is None

    def test_answer_that_is_no_http_is_not_quoted(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer() -> None:
                with server.accept()[0] as connection:
                    connection.recv(1 << 16)
                    connection.sendall(b"hunter2\r\n\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            source = remote_source(
                f"vault://127.0.0.1:{server.getsockname()[1]}/a/b?tls=false", variables(VAULT_TOKEN="t")
            )
            with pytest.raises(SecretSourceError, match="did not answer: RemoteProtocolError") as caught:
                source.fetch()
            thread.join()
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "variable", "value"),
        [
            ("vault://a..b/secret/orders?tls=false", "NO_PROXY", ""),
            ("vault://127.0.0.1:9/secret/orders?tls=false", "HTTP_PROXY", "ftp://user:hunter2@proxy:1"),
            ("vault://127.0.0.1:9/secret/orders?tls=false", "HTTP_PROXY", "socks5://user:hunter2@proxy:1"),
            ("vault://127.0.0.1:9/secret/orders", "SSL_CERT_FILE", "/nonexistent"),
        ],
    )
    def test_what_cannot_even_be_asked(
        self, url: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(SecretSourceError, match="did not answer: ") as caught:
            remote_source(url, variables(VAULT_TOKEN="t")).fetch()
        assert "hunter2" not in str(caught.value)

    def test_tls_unless_said_otherwise(self, store: Any) -> None:
        source = remote_source(f"vault://{store.host}/a/b", variables(VAULT_TOKEN="t"))
        with pytest.raises(SecretSourceError, match=r"https://.* did not answer"):
            source.fetch()
        assert store.asked == []


class TestConsul:
    """https://developer.hashicorp.com/consul/api-docs/kv"""

    PATH = "/v1/kv/orders/live/?recurse=true"

    def fetch(self, store: Any, token: str = "") -> dict[str, str]:
        url = f"consul://{store.host}/orders/live?tls=false"
        return dict(remote_source(url, variables(CONSUL_HTTP_TOKEN=token)).fetch())

    def entry(self, key: str, value: str | None) -> dict[str, object]:
        return {"Key": key, "Value": None if value is None else base64.b64encode(value.encode()).decode()}

    def test_keys_below_the_prefix_are_variables(self, store: Any) -> None:
        entries = [
            self.entry("orders/live/", None),
            self.entry("orders/live/LOG_LEVEL", "debug"),
            self.entry("orders/live/logging/format", "jsön"),
            self.entry("orders/live/empty", None),
        ]
        store.answers[self.PATH] = (200, entries)
        assert self.fetch(store) == {"LOG_LEVEL": "debug", "logging/format": "jsön"}
        assert "x-consul-token" not in store.asked[0].headers

    def test_token(self, store: Any) -> None:
        store.answers[self.PATH] = (200, [])
        assert self.fetch(store, "t0ken") == {}
        assert store.asked[0].headers["x-consul-token"] == "t0ken"

    def test_token_that_no_header_may_hold_is_not_quoted(self, store: Any) -> None:
        with pytest.raises(SecretSourceError, match="holds a character that is not allowed") as caught:
            self.fetch(store, "t0k\nen")
        assert "t0k" not in str(caught.value)

    @pytest.mark.parametrize("answer", [[{"Key": "x"}], 5, [{"Key": "orders/live/a", "Value": "/w=="}]])
    def test_answer_of_another_shape(self, store: Any, answer: object) -> None:
        store.answers[self.PATH] = (200, answer)
        with pytest.raises(SecretSourceError, match="not what Consul's interface documents"):
            self.fetch(store)

    def test_tls_unless_said_otherwise(self, store: Any) -> None:
        with pytest.raises(SecretSourceError, match=r"https://.* did not answer"):
            remote_source(f"consul://{store.host}/orders", variables()).fetch()
        assert store.asked == []

    def test_prefix_is_required(self) -> None:
        with pytest.raises(SecretSourceError, match="must name a prefix"):
            remote_source("consul://h", variables()).fetch()
