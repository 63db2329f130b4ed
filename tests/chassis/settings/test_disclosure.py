"""No secret is ever shown."""

import copy
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, PostgresDsn, SecretBytes, SecretStr, field_validator
from pydantic_core import MultiHostUrl

from chassis.settings import Group, Settings, SettingsError, load, provenance
from chassis.settings.disclosure import disclosed, masked_urls, rendered, url_credentials

# Distinct enough that no message holds it by chance.
texts = st.from_regex(r"[A-Z0-9]{8}[a-z!$%^*~'\"{}\[\]/?#:-]{0,12}[A-Z0-9]{4}", fullmatch=True)

steady = examples(deadline=None, max_examples=50)


class Account(BaseModel):
    password: SecretStr


class Vault(Group):
    key: SecretStr = Field(min_length=3)
    raw: SecretBytes
    many: list[SecretStr]
    account: Account
    password: str = Field(pattern="^.")
    url: str

    @field_validator("key")
    @classmethod
    def check(cls, value: SecretStr) -> SecretStr:
        if "#" in value.get_secret_value():
            raise ValueError(f"{value.get_secret_value()} must not hold a #")
        return value


class Holder(Settings):
    vault: Vault
    port: int = 0


def environ(secret: str) -> dict[str, str]:
    import json

    return {
        "VAULT_KEY": secret,
        "VAULT_RAW": secret,
        "VAULT_MANY": json.dumps([secret, secret]),
        "VAULT_ACCOUNT": json.dumps({"password": secret}),
        "VAULT_PASSWORD": secret,
        "VAULT_URL": f"postgresql://orders:{secret}@db.internal/orders",
        "SECRETS_DIR": "/",
        "CONFIG_DIR": "/",
    }


NOWHERE = Path("/nonexistent")


@steady
@given(texts.filter(lambda text: "#" not in text))
def test_never_in_a_rendering(secret: str) -> None:
    settings = load(Holder, environ=environ(secret), directory=NOWHERE)
    assert settings.vault.key.get_secret_value() == secret
    # The model's own repr of a plain field named like a secret is pydantic's affair: it is no SecretStr.
    vault = settings.vault.model_copy(update={"password": "-"})
    shown = [repr(vault), str(vault), *map(str, provenance(settings)), *map(str, settings.warnings)]
    assert not [text for text in shown if secret in text]
    assert {origin.value for origin in provenance(settings)} == {
        "***",
        "postgresql://orders:***@db.internal/orders",
        "0",
    }


@steady
@given(texts)
def test_never_in_a_mistake(secret: str) -> None:
    wrong = environ(secret) | {
        "VAULT_KEY": f"{secret}#",
        "VAULT_MANY": f"[{secret}",
        "VAULT_ACCOUNT": f'["{secret}"]'.replace("'", ""),
        "PORT": f"amqp://orders:{secret}@mq",
    }
    with pytest.raises(SettingsError) as caught:
        load(Holder, environ=wrong, directory=NOWHERE)
    variables = {mistake.variable for mistake in caught.value.mistakes}
    assert {"VAULT_KEY", "VAULT_MANY", "VAULT_ACCOUNT", "PORT"} <= variables
    assert secret not in "".join(traceback.format_exception(caught.value))
    assert secret not in repr(caught.value.mistakes)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("text", ["levle: {}", "port: *{}", "port: !{} 1", "port: [{}", "{}", "x: 'a' {}"])
def test_never_in_what_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/service.yaml").write_text(text.format("hunterTWO22"))
    with pytest.raises(SettingsError) as caught:
        load(Holder, environ=environ("K") | {"CONFIG_DIR": "config"}, directory=tmp_path)
    shown = str(caught.value)
    assert "hunterTWO22" not in shown


def test_a_check_that_quotes_nothing_is_told(tmp_path: Path) -> None:
    class Keyed(Settings):
        key: SecretStr

        @field_validator("key")
        @classmethod
        def check(cls, value: SecretStr) -> SecretStr:
            raise ValueError("Must start with sk_")

    with pytest.raises(SettingsError, match=r"KEY must start with sk_ \(environment KEY\)"):
        load(Keyed, environ={"KEY": "abcdefgh"}, directory=tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:***@h/db"),
        ("redis://:p@h", "redis://:***@h"),
        ("amqp://u:p/w@x#y@h/v", "amqp://u:***@h/v"),
        ("see postgresql+asyncpg://u:p@h/a and redis://:q@i/b", None),
        ("https://h/path?api_key=abc&x=1&Token=def", "https://h/path?api_key=***&x=1&Token=***"),
        ("jdbc:h2;password=abc;user=x", "jdbc:h2;password=***;user=x"),
        ("https://host:8080/path", "https://host:8080/path"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("mail to a@b.c: soon", "mail to a@b.c: soon"),
        ("u:p@h:4317", "u:***@h:4317"),
        (":p@h", ":***@h"),
        ("//u:p@h/db", "//u:***@h/db"),
        ("http:/u:p@h", "http:***@h"),
        ("see u:p@q/w@h", "see u:***@h"),
        ('["h","u:p@h",1]', '["h","u:***@h",1]'),
        ('{"a":"u:p@h"}', '{"a":"u:***@h"}'),
        ('{"a":"b@c","d":["e@f"]}', '{"a":"b@c","d":["e@f"]}'),
        ("https://key@sentry.example:9000/1", "https://key@sentry.example:9000/1"),
        ("mailto:ops@example.com", "mailto:ops@example.com"),
        ("git@example.com:team/orders.git", "git@example.com:team/orders.git"),
        ("12:30 @noon", "12:30 @noon"),
    ],
)
def test_urls(text: str, expected: str | None) -> None:
    assert masked_urls(text) == (expected or "see postgresql+asyncpg://u:***@h/a and redis://:***@i/b")


def test_credentials() -> None:
    assert url_credentials("a://u:p@h") == ("u", "p")
    assert url_credentials("a://u:@h") is None
    assert url_credentials("x a://u:p@h") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a", "a"),
        ([1, "b"], '[1,"b"]'),
        ({"a": Path("/x")}, '{"a":"/x"}'),
        (frozenset([1]), "[1]"),
        (["a://u:p@h"], '["a://u:***@h"]'),
        (AnyUrl("a://u:p@h/"), "a://u:***@h/"),
        ("red\x1b[31m\n", "'red\\x1b[31m\\n'"),
    ],
)
def test_rendered(value: Any, expected: str) -> None:
    assert rendered(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "a://u:p4ssw0rd@h",
        ["a://u:p4ssw0rd@h"],
        {"k": ("a://u:p4ssw0rd@h",)},
        AnyUrl("a://u:p4ssw0rd@h"),
        MultiHostUrl("a://u:p4ssw0rd@h,i"),
        PostgresDsn("postgresql://u:p4ssw0rd@h/d"),
    ],
)
def test_urls_in_a_repr(value: Any) -> None:
    class Linked(Settings):
        value: Any = None

    assert "p4ssw0rd" not in repr(Linked(value=value))
    assert "u:***@h" in str(disclosed(value))


def test_mapping_shows_no_value_under_a_sensitive_key(tmp_path: Path) -> None:
    class Headed(Settings):
        headers: dict[str, Any] = Field({"Authorization": "Bearer x", "a": [{"apiKey": "y", "token": None}]})

    (origin,) = provenance(load(Headed, environ={}, directory=tmp_path))
    assert origin.value == '{"Authorization":"***","a":[{"apiKey":"***","token":null}]}'


def test_enumerations_in_a_repr(place: Any) -> None:
    assert "environment=<Stage.DEVELOPMENT: 'development'>" in repr(place.load())


def test_settings_travel_to_workers(place: Any) -> None:
    settings = place.load({"LOG_LEVEL": "x"})
    assert copy.deepcopy(settings) == settings
    assert provenance(copy.deepcopy(settings)) == provenance(settings)
    assert pickle.loads(pickle.dumps(settings.logging.model_dump())) == settings.logging.model_dump()
