"""What production refuses."""

import json
import secrets
from collections.abc import Iterable
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import AnyUrl, Field, Secret, SecretBytes, SecretStr, model_validator
from typing_extensions import override

from chassis.settings import AnyStrength, Group, Mistake, Settings, SettingsError, load, weak_secret

KEY = "k3y-Zq81-vM7x-0pTw"

steady = examples(deadline=None, max_examples=50)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("changeme", "is a well-known default"),
        ("Secret", "is a well-known default"),
        ("admin123", "is a well-known default"),
        ("p-a-s-s-w-o-r-d", "is a well-known default"),
        ("please-change-me-in-production", "is a placeholder"),
        ("your-secret-key-goes-right-here", "is a placeholder"),
        ("", "has fewer than 16 characters"),
        ("kZ8!x", "has fewer than 16 characters"),
        ("aaaaaaaaaaaaaaaaaaaaaa", "repeats itself"),
        ("abababcdabababcdabababcd", "repeats itself"),
        ("xK9fQ2xK9fQ2xK9fQ2xK9fQ2", "repeats itself"),
        ("abcdefghijklmnopqrstuvwxyz", "is a sequence"),
        ("9876543210987654", "is a sequence"),
        ("postgresql://app:postgres@db/app", "holds a well-known password"),
        ("postgresql://app:change%4De@db/app", "holds a well-known password"),
        ("redis://orders:orders@cache", "holds a password that equals its user"),
    ],
)
def test_weak(value: str, reason: str) -> None:
    assert weak_secret(value) == reason


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        "postgresql://app:s3cr@db/app",  # of a URL the length of the password is not judged
        "postgresql://db/app",
        "sqlite:///./orders.db",
        "redis://:Zq81@cache",
    ],
)
def test_strong(value: str) -> None:
    assert weak_secret(value) is None


@steady
@given(st.binary(min_size=16, max_size=48), st.sampled_from(["hex", "url"]))
def test_generated_secrets_are_strong(seed: bytes, form: str) -> None:
    value = secrets.token_hex(16) if form == "hex" else secrets.token_urlsafe(24)
    assert weak_secret(value) is None
    assert isinstance(weak_secret(seed.hex()), str | None)


def mistakes(cls: type[Settings], place: Any, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(cls, environ={"ENVIRONMENT": "production", **environ}, directory=place.root)
    return [str(mistake) for mistake in caught.value.mistakes]


class TestSecrets:
    @pytest.mark.parametrize("kind", [SecretStr, SecretBytes, SecretStr | None])
    def test_each_secret_is_judged(self, place: Any, kind: Any) -> None:
        class Held(Settings):
            key: kind

        assert mistakes(Held, place, KEY="hunter2") == [
            "KEY must not go to production: its value is a well-known default (environment KEY)"
        ]
        assert load(Held, environ={"KEY": "hunter2"}, directory=place.root).warnings == ()
        load(Held, environ={"ENVIRONMENT": "production", "KEY": KEY}, directory=place.root)

    @pytest.mark.parametrize("kind", [list[SecretStr], tuple[SecretStr, ...], dict[str, SecretStr]])
    def test_each_of_many_is_judged(self, place: Any, kind: Any) -> None:
        class Held(Settings):
            keys: kind

        given = {"a": KEY, "b": "hunter2"}
        text = json.dumps(given if kind == dict[str, SecretStr] else list(given.values()))
        assert mistakes(Held, place, KEYS=text) == [
            "KEYS must not go to production: its value is a well-known default (environment KEYS)"
        ]

    def test_number_has_no_strength(self, place: Any) -> None:
        class Held(Settings):
            pin: Secret[int] = Secret(1234)

        load(Held, environ={"ENVIRONMENT": "production"}, directory=place.root)

    def test_default_in_the_code(self, place: Any) -> None:
        class Shipped(Settings):
            key: SecretStr = SecretStr("changeme")

        assert mistakes(Shipped, place) == [
            "KEY must not go to production: its value is a well-known default (default)"
        ]

    def test_optional_and_unset(self, place: Any) -> None:
        class Maybe(Settings):
            key: SecretStr | None = None
            keys: list[SecretStr] = Field([])

        load(Maybe, environ={"ENVIRONMENT": "production"}, directory=place.root)

    def test_exempt(self, place: Any) -> None:
        class Theirs(Settings):
            one: Annotated[SecretStr, AnyStrength("the provider chose it")] = SecretStr("short")
            two: Annotated[SecretStr, AnyStrength("so did this one")] | None = SecretStr("short")

        load(Theirs, environ={"ENVIRONMENT": "production"}, directory=place.root)

    @pytest.mark.parametrize("kind", [str, AnyUrl])
    def test_password_in_a_url_that_is_no_secret(self, place: Any, kind: Any) -> None:
        class Linked(Settings):
            url: kind

        assert mistakes(Linked, place, URL="redis://u:password@cache:6379") == [
            "URL must not go to production: its value holds a well-known password (environment URL)"
        ]

    def test_group_that_is_a_default_of_the_code(self, place: Any) -> None:
        class Keys(Group):
            key: SecretStr = SecretStr("changeme")

        class Held(Settings):
            keys: Keys = Keys()

        assert mistakes(Held, place) == [
            "KEYS_KEY must not go to production: its value is a well-known default (default)"
        ]


class TestHooks:
    def test_source_given_by_the_check_is_kept(self, place: Any) -> None:
        class Own(Settings):
            @override
            def production_mistakes(self) -> Iterable[Mistake]:
                yield Mistake("A", "is wrong", "somewhere")
                yield Mistake("UNKNOWN", "is wrong")

        assert mistakes(Own, place) == ["A is wrong (somewhere)", "UNKNOWN is wrong"]

    def test_checks_are_asked_beside_other_mistakes(self, place: Any) -> None:
        class Part(Group):
            size: int = 0
            ratio: float = 0.5

            @override
            def production_mistakes(self) -> Iterable[Mistake]:
                if self.ratio > 0.4:
                    yield Mistake("PART_RATIO", "is too large")
                if self.size > 3:
                    yield Mistake("PART_SIZE", "is never told: the size is not known")

        class Whole(Settings):
            needed: int
            debug: bool = False
            part: Part = Part()

            @override
            def production_mistakes(self) -> Iterable[Mistake]:
                if self.debug:
                    yield Mistake("DEBUG", "must be false")
                if self.needed > 3:
                    yield Mistake("NEEDED", "is never told: it is missing")

        assert mistakes(Whole, place, DEBUG="1", PART_SIZE="x") == [
            (
                "NEEDED is required: set it in the environment, .env or a secret file, or needed in"
                " config/service.yaml"
            ),
            ("PART_SIZE must be a valid integer, not x (environment PART_SIZE)"),
            "DEBUG must be false (environment DEBUG)",
            "PART_RATIO is too large (default)",
        ]

    def test_nothing_is_asked_in_development(self, place: Any, sample: Any) -> None:
        assert place.load({"DEBUG": "true"}).debug is True

    def test_check_that_fails_is_not_hidden(self, place: Any) -> None:
        class Broken(Settings):
            @override
            def production_mistakes(self) -> Iterable[Mistake]:
                raise RuntimeError("a bug of the service")

        with pytest.raises(RuntimeError, match="a bug"):
            load(Broken, environ={"ENVIRONMENT": "production"}, directory=place.root)

    def test_validator_that_stumbles_over_a_missing_value(self, place: Any) -> None:
        class Strict(Settings):
            size: int
            debug: bool = Field(False)

            @model_validator(mode="after")
            def check(self) -> "Strict":
                if self.size > 3:
                    raise ValueError("too large")
                return self

        assert mistakes(Strict, place, SIZE="x", DEBUG="true") == [
            "SIZE must be a valid integer, not x (environment SIZE)"
        ]
