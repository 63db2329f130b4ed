"""The remote source that REMOTE_SETTINGS names, and how settings use it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from chassis.secrets import SecretSourceError, remote_source
from chassis.settings import Settings, SettingsError, load, provenance


def nothing(_: str) -> str:
    return ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://x/y", "must begin with one of aws-secretsmanager://, aws-ssm://"),
        ("orders", "must begin with one of"),
        ("vault://", "must say what to read: vault://"),
        ("vault://h:port/x", "must be a URL"),
        ("vault://[h/x", "must be a URL"),
        ("vault://h/a/b?tls", "must be a URL"),
    ],
)
def test_what_is_no_source(url: str, words: str) -> None:
    with pytest.raises(SecretSourceError, match=words):
        remote_source(url, nothing)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("aws-secretsmanager://a", "boto3", "aws"),
        ("aws-ssm:///a", "boto3", "aws"),
        ("azure-keyvault://a", "azure.core.exceptions", "azure"),
        ("gcp-secretmanager://a", "google.cloud.secretmanager", "gcp"),
    ],
)
def test_missing_extra_is_named(url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SecretSourceError, match=rf"{module} is not installed: .*vendored-chassis\[{extra}\]"):
        remote_source(url, nothing).fetch()


class Small(Settings):
    level: str = "info"
    key: str = "none"


class TestInSettings:
    def load(self, root: Path, **environ: str) -> Small:
        return load(Small, environ={"SECRETS_DIR": ".", **environ}, directory=root)

    def url(self, store: Any) -> str:
        store.answers["/v1/secret/data/orders"] = (200, {"data": {"data": {"LEVEL": "far", "KEY": "far"}}})
        return f"vault://{store.host}/secret/orders?tls=false"

    def test_between_secret_files_and_yaml(self, store: Any, tmp_path: Path) -> None:
        (tmp_path / "vault_token").write_text("t0ken\n")
        (tmp_path / "key").write_text("near")
        (tmp_path / "config").mkdir()
        (tmp_path / "config/service.yaml").write_text("level: yaml\nkey: yaml\n")
        url = self.url(store)
        settings = self.load(tmp_path, REMOTE_SETTINGS=url)
        assert (settings.level, settings.key) == ("far", "near")
        assert [origin.source for origin in provenance(settings)] == [
            f"remote {url} LEVEL",
            f"secret file {tmp_path}/key",
        ]
        assert store.asked[0].headers["x-vault-token"] == "t0ken"

    def test_line_break_after_the_token_in_a_variable_is_none_of_it(self, store: Any, tmp_path: Path) -> None:
        assert self.load(tmp_path, REMOTE_SETTINGS=self.url(store), VAULT_TOKEN="t0ken\n").level == "far"
        assert store.asked[0].headers["x-vault-token"] == "t0ken"

    @pytest.mark.parametrize("token", ["hvs\ntop", "hvstôp"])
    def test_token_that_cannot_be_sent_is_told_as_any_other_mistake(
        self, store: Any, tmp_path: Path, token: str
    ) -> None:
        given = {"REMOTE_SETTINGS": self.url(store), "VAULT_TOKEN": token}
        with pytest.raises(SettingsError) as caught:
            self.load(tmp_path, **given)
        settings = self.load(tmp_path, **given, REMOTE_SETTINGS_OPTIONAL="true")
        for told in (*caught.value.mistakes, *settings.warnings):
            assert told.variable == "REMOTE_SETTINGS"
            assert "holds a character that is not allowed" in told.problem
            assert "hvs" not in str(told)

    def test_named_in_a_secret_file(self, store: Any, tmp_path: Path) -> None:
        (tmp_path / "REMOTE_SETTINGS").write_text(self.url(store))
        assert self.load(tmp_path, VAULT_TOKEN="t").level == "far"

    def test_env_file_says_where_to_look(self, tmp_path: Path, closed_port: int) -> None:
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "KEY").write_text("near")
        (tmp_path / ".env").write_text(
            f"REMOTE_SETTINGS=vault://127.0.0.1:{closed_port}/a/b?tls=false\nREMOTE_SETTINGS_OPTIONAL=true\n"
            "VAULT_TOKEN=t\nSECRETS_DIR=files\n"
        )
        settings = load(Small, environ={}, directory=tmp_path)
        assert settings.key == "near"
        assert ["did not answer" in warning.problem for warning in settings.warnings] == [True]

    def test_it_may_name_the_environment(self, store: Any, tmp_path: Path) -> None:
        class Placed(Small):
            environment: str = "development"

        (tmp_path / "config").mkdir()
        (tmp_path / "config/service.staging.yaml").write_text("level: staged\n")
        answer = {"data": {"data": {"ENVIRONMENT": "staging"}}}
        store.answers["/v1/secret/data/orders"] = (200, answer)
        environ = {"SECRETS_DIR": ".", "VAULT_TOKEN": "t"}
        environ["REMOTE_SETTINGS"] = f"vault://{store.host}/secret/orders?tls=false"
        assert load(Placed, environ=environ, directory=tmp_path).level == "staged"

    def test_unreadable_token(self, store: Any, tmp_path: Path) -> None:
        (tmp_path / "VAULT_TOKEN").write_bytes(b"\xff")
        with pytest.raises(SettingsError, match=r"VAULT_TOKEN .* must be UTF-8 text"):
            self.load(tmp_path, REMOTE_SETTINGS=self.url(store))

    def test_down_refuses_the_start(self, tmp_path: Path, closed_port: int) -> None:
        url = f"vault://user:hunter2@127.0.0.1:{closed_port}/a/b?tls=false"
        with pytest.raises(SettingsError) as caught:
            self.load(tmp_path, REMOTE_SETTINGS=url, VAULT_TOKEN="t")
        (mistake,) = caught.value.mistakes
        assert mistake.variable == "REMOTE_SETTINGS"
        assert mistake.problem.startswith("cannot be asked: http://127.0.0.1")
        assert mistake.problem.endswith("REMOTE_SETTINGS_OPTIONAL=true starts without it")
        assert "hunter2" not in str(mistake)

    @pytest.mark.parametrize("word", ["true", "1", "Yes"])
    def test_down_is_a_warning_if_optional(self, tmp_path: Path, closed_port: int, word: str) -> None:
        url = f"vault://127.0.0.1:{closed_port}/a/b?tls=false"
        settings = self.load(tmp_path, REMOTE_SETTINGS=url, VAULT_TOKEN="t", REMOTE_SETTINGS_OPTIONAL=word)
        (warning,) = settings.warnings
        assert warning.problem.startswith("was left out: ")

    def test_path_is_the_nested_form(self, store: Any, tmp_path: Path) -> None:
        import base64

        value = base64.b64encode(b"deep").decode()
        store.answers["/v1/kv/o/?recurse=true"] = (200, [{"Key": "o/group/my-level", "Value": value}])
        from chassis.settings import Group

        class Part(Group, prefix="P_"):
            my_level: str = ""

        class Whole(Settings):
            group: Part = Part()

        environ = {"SECRETS_DIR": ".", "REMOTE_SETTINGS": f"consul://{store.host}/o?tls=false"}
        assert load(Whole, environ=environ, directory=tmp_path).group.my_level == "deep"
