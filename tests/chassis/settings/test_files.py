"""The files: ``.env`` and YAML, with the line of each value and each mistake."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from chassis.settings.dotenv_file import read_dotenv

steady = examples(deadline=None, max_examples=50)


class TestDotenv:
    def read(self, tmp_path: Path, text: str, **environ: str) -> dict[str, tuple[str, int]]:
        (tmp_path / ".env").write_bytes(text.encode())
        return {name: tuple(line) for name, line in read_dotenv(tmp_path / ".env", environ).variables.items()}

    def test_syntax(self, tmp_path: Path) -> None:
        text = "\ufeff# comment\n\nA=1\nexport B='two words' # why\n\n\nC=\"x\\ny\"\nD\nE=\n"
        assert self.read(tmp_path, text) == {
            "A": ("1", 3),
            "B": ("two words", 4),
            "C": ("x\ny", 7),
            "E": ("", 9),
        }

    def test_references(self, tmp_path: Path) -> None:
        text = "HOST=db\nURL=a://${HOST}/${NAME:-orders}?u=${USER_NAME}$HOST\n"
        assert self.read(tmp_path, text, USER_NAME="me", HOST="elsewhere")["URL"] == (
            "a://db/orders?u=me$HOST",
            2,
        )

    def test_broken_lines(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("A=1\nno assignment here\n\nB='open\n")
        assert read_dotenv(tmp_path / ".env", {}).broken == (2, 4)

    def test_not_utf8(self, place: Any) -> None:
        (place.root / ".env").write_bytes(b"A=\xff")
        assert place.mistakes() == [".env must be UTF-8 text"]

    def test_directory_of_that_name(self, place: Any) -> None:
        (place.root / ".env").mkdir()
        assert place.mistakes() == [".env cannot be read: Is a directory"]

    @steady
    @given(st.text(st.characters(codec="ascii", exclude_categories=["C"], exclude_characters="'\\$")))
    def test_quoted_value_round_trip(self, value: str) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as name:
            assert self.read(Path(name), f"A='{value}'\n") == {"A": (value, 1)}


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("loging: {level: x}", "loging is no setting; did you mean logging? ({} line 1)"),
            ("logging:\n  colour: x", "logging.colour is no setting ({} line 2)"),
            ("log_level: x", "log_level is no setting; did you mean logging.level? ({} line 1)"),
            (
                "logging:\n  LIMIT_REQUESTS: 1",
                "logging.LIMIT_REQUESTS is no setting; did you mean limits.requests?",
            ),
            ("logging: loud", "logging must be a group of settings, one `name: value` a line ({} line 1)"),
            ("- a\n- b", "{} must be a group of settings, one `name: value` a line ({} line 1)"),
            ("debug: true\ndebug: false", "debug is written twice ({} line 2)"),
            ("logging:\n\tlevel: x", "{} is no valid YAML: found character that cannot start any token"),
            ("debug: 2024-02-31", "debug must be put in quotes, or be a real date ({} line 1)"),
            ("debug: !!python/name:os.system", "{} is no valid YAML: could not determine a constructor"),
            ("debug: \x01", "{} is no valid YAML: it holds a character that YAML forbids ({})"),
            ("? [a]\n: b", "[...] is no setting ({} line 1)"),
        ],
    )
    def test_mistakes(self, place: Any, text: str, expected: str) -> None:
        place.write("config/service.yaml", text + "\n")
        (mistake, *_) = place.mistakes()
        assert expected.replace("{}", "config/service.yaml") in mistake

    def test_not_utf8(self, place: Any) -> None:
        (place.root / "config/service.yaml").write_bytes(b"debug: \xff")
        assert place.mistakes() == ["config/service.yaml must be UTF-8 text"]

    def test_vanishes_between_looking_and_reading(self, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        place.write("config/service.yaml", "")

        def vanished(*_: object, **__: object) -> str:
            raise FileNotFoundError(2, "No such file or directory")

        monkeypatch.setattr(Path, "read_text", vanished)
        assert place.mistakes() == ["config/service.yaml cannot be read: No such file or directory"]

    def test_empty_file_sets_nothing(self, place: Any) -> None:
        place.write("config/service.yaml", "# nothing yet\n")
        assert place.load().logging.level == "info"

    def test_a_value_that_aliases_blow_up(self, place: Any) -> None:
        layers = ", ".join(f"&a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(20))
        place.write("config/defaults.yaml", f"logging:\n  level: [&a0 [x], {layers}]\n")
        assert place.mistakes() == [
            "logging.level must hold at most 10000 values (config/defaults.yaml line 2)"
        ]

    def test_anchors_and_merges(self, place: Any) -> None:
        text = "limits: &l\n  requests: 3\n  enabled: false\nreplica:\n  url: &u a\n  pool: {size: 1}\n"
        place.write(
            "config/service.yaml", text + "database:\n  url: *u\n  pool:\n    <<: {size: 2}\n    size: 4\n"
        )
        settings = place.load()
        assert (settings.database.url, settings.database.pool.size) == ("a", 4)

    def test_lists_and_mappings(self, place: Any) -> None:
        place.write("config/service.yaml", "logging:\n  keys: [a, b]\nlimits:\n  routes:\n    GET /: 1/60\n")
        settings = place.load()
        assert settings.logging.keys == ["a", "b"]
        assert settings.limits.routes == {"GET /": "1/60"}


class TestSecretFiles:
    def test_value_is_stripped(self, place: Any) -> None:
        place.write("secrets/payments_api_key", "k3y-Zq81-vM7x-0pTx\n")
        settings = place.load({"PAYMENTS_API_KEY": ""})
        assert settings.payments.api_key.get_secret_value() == "k3y-Zq81-vM7x-0pTx"

    def test_unusable_file_is_told(self, place: Any) -> None:
        (place.root / "secrets/LOG_LEVEL").write_bytes(b"\xff")
        (place.root / "secrets/stranger").write_bytes(b"\xff")
        file = place.root / "secrets/LOG_LEVEL"
        assert place.mistakes() == [f"LOG_LEVEL {file} must be UTF-8 text (secret file {file})"]

    def test_directory_that_cannot_be_listed(self, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: Path) -> object:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", refuse)
        assert place.mistakes() == [f"SECRETS_DIR {place.root}/secrets cannot be read: Permission denied"]
        (warning,) = place.load({"SECRETS_DIR": ""}).warnings
        assert str(warning) == "SECRETS_DIR /run/secrets cannot be read: Permission denied"
