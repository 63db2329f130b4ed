"""The order of the sources, and what is reported of them."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError

from chassis.settings import Group, Prefix, Settings, SettingsError, Variable, load, provenance

KEY = "k3y-Zq81-vM7x-0pTw"
IMPORTS = """
from typing import Annotated
from pydantic import Field, SecretStr
from chassis.service_settings import ServiceSettings
from chassis.settings import Group, Prefix, Variable
"""

steady = examples(deadline=None, max_examples=50)


def source(settings: Settings, variable: str) -> str:
    return next(origin.source for origin in provenance(settings) if origin.variable == variable)


class TestOrder:
    """Each source wins over those that come after it."""

    def test_code_default_is_last(self, place: Any) -> None:
        settings = place.load()
        assert settings.logging.level == "info"
        assert source(settings, "LOG_LEVEL") == "default"

    def test_all_layers(self, place: Any) -> None:
        place.write("config/defaults.yaml", "logging: {level: a}\n")
        steps = [
            (
                "config/service.yaml",
                "# chosen by the team\nlogging:\n  level: b\n",
                "b",
                "service.yaml line 3",
            ),
            ("config/service.development.yaml", "logging:\n  level: c\n", "c", "development.yaml line 2"),
            ("secrets/log_level", "e\n", "e", "secret file"),
            (".env", "\n\nLOG_LEVEL=f\n", "f", ".env line 3"),
        ]
        assert source(place.load(), "LOG_LEVEL") == "config/defaults.yaml line 1"
        for file, text, value, origin in steps:
            place.write(file, text)
            settings = place.load()
            assert settings.logging.level == value
            assert origin in source(settings, "LOG_LEVEL")
        settings = place.load({"LOG_LEVEL": "g"})
        assert (settings.logging.level, source(settings, "LOG_LEVEL")) == ("g", "environment LOG_LEVEL")
        settings = place.load({"LOG_LEVEL": "g"}, logging={"level": "h"})
        assert (settings.logging.level, source(settings, "LOG_LEVEL")) == ("h", "init argument")

    def test_layers_merge_leaf_by_leaf(self, place: Any) -> None:
        place.write("config/defaults.yaml", "limits: {requests: 7, enabled: false}\n")
        place.write("config/service.yaml", "limits: {requests: 8}\n")
        settings = place.load({"LIMIT_ROUTES": '{"GET /": "1/60"}'})
        assert settings.limits.model_dump() == {"enabled": False, "requests": 8, "routes": {"GET /": "1/60"}}

    def test_mapping_or_list_is_one_value(self, place: Any) -> None:
        place.write("config/defaults.yaml", "limits: {routes: {a: x, b: y}}\nlogging: {keys: [a, b]}\n")
        place.write("config/service.yaml", "limits: {routes: {a: z}}\nlogging: {keys: [c]}\n")
        assert place.load().limits.routes == {"a": "z"}
        assert place.load().logging.keys == ["c"]

    def test_config_dir_of_env_file(self, place: Any) -> None:
        (place.root / "elsewhere").mkdir()
        place.write("elsewhere/service.yaml", "logging: {level: there}\n")
        place.write(".env", "CONFIG_DIR=elsewhere\n")
        settings = place.load()
        assert settings.logging.level == "there"
        assert source(settings, "LOG_LEVEL") == "elsewhere/service.yaml line 1"

    def test_file_outside_the_directory_is_named_in_full(self, place: Any, tmp_path_factory: Any) -> None:
        other = tmp_path_factory.mktemp("etc")
        (other / "service.yaml").write_text("logging: {level: far}\n")
        assert source(place.load({"CONFIG_DIR": str(other)}), "LOG_LEVEL") == f"{other}/service.yaml line 1"

    @pytest.mark.parametrize("name", ["CONFIG_DIR", "SECRETS_DIR"])
    def test_named_directory_must_exist(self, place: Any, name: str) -> None:
        assert place.mistakes({name: "nowhere"}) == [f"{name} must name a directory that exists"]

    def test_current_directory_and_environment_by_default(
        self, place: Any, sample: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.write(".env", "LOG_LEVEL=here\n")
        monkeypatch.chdir(place.root)
        monkeypatch.setenv("PAYMENTS_API_KEY", KEY)
        monkeypatch.setenv("SECRETS_DIR", "secrets")
        assert load(sample).logging.level == "here"

    @steady
    @given(
        st.lists(st.integers(1, 1000) | st.none(), min_size=5, max_size=5),
    )
    def test_highest_source_that_names_it_wins(self, values: list[int | None]) -> None:
        class Small(Settings):
            size: int = 0

        import tempfile

        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            (root / "config").mkdir()
            init, env, dotenv, own, defaults = values
            for file, value, text in (
                (".env", dotenv, f"SIZE={dotenv}"),
                ("config/service.yaml", own, f"size: {own}"),
                ("config/defaults.yaml", defaults, f"size: {defaults}"),
            ):
                if value is not None:
                    (root / file).write_text(text)
            environ = {} if env is None else {"SIZE": str(env)}
            arguments: dict[str, object] = {} if init is None else {"size": init}
            settings = load(Small, environ=environ, directory=root, **arguments)
        assert settings.size == next((value for value in values if value is not None), 0)


class TestEnvironmentName:
    """ENVIRONMENT decides on one file, wherever it comes from."""

    @pytest.mark.parametrize(
        "where",
        ["environ", ".env", "init", "config/service.yaml", "config/defaults.yaml", "secrets/environment"],
    )
    def test_any_source_may_tell(self, place: Any, where: str) -> None:
        place.write("config/service.production.yaml", "logging: {level: prod}\ndatabase: {url: x}\n")
        environ, init = {}, {}
        if where == "environ":
            environ = {"ENVIRONMENT": "production"}
        elif where == "init":
            init = {"environment": "production"}
        else:
            texts = {".env": "ENVIRONMENT=production", "secrets/environment": "production"}
            place.write(where, texts.get(where, "environment: production"))
        assert place.load(environ, **init).logging.level == "prod"

    def test_enum_as_argument(self, place: Any, sample: Any) -> None:
        place.write("config/service.production.yaml", "logging: {level: prod}\ndatabase: {url: x}\n")
        stage = sample.model_fields["environment"].default.__class__("production")
        assert place.load(environment=stage).logging.level == "prod"

    def test_file_cannot_change_what_chose_it(self, place: Any) -> None:
        place.write("config/service.development.yaml", "environment: production\n")
        assert place.mistakes() == [
            (
                "environment chose this file, so it must not be another in it"
                " (config/service.development.yaml line 1)"
            )
        ]

    def test_file_may_repeat_it(self, place: Any) -> None:
        place.write("config/service.development.yaml", "environment: development\nlogging: {level: dev}\n")
        assert place.load().logging.level == "dev"

    def test_name_never_leaves_the_directory(self, place: Any) -> None:
        place.write("service.x.yaml", "logging: {level: stolen}\n")
        (mistake,) = place.mistakes({"ENVIRONMENT": "/../../service.x"})
        assert mistake.startswith("ENVIRONMENT must be 'development' or 'production', not")

    @pytest.mark.parametrize("name", ["", "staging"])
    def test_class_without_the_field(self, place: Any, name: str) -> None:
        class Plain(Settings):
            level: str = "x"

        place.write("config/service.development.yaml", "level: dev\n")
        place.write("config/service.staging.yaml", "level: st\n")
        loaded = load(Plain, environ={"ENVIRONMENT": name}, directory=place.root)
        assert loaded.level == {"": "dev", "staging": "st"}[name]

    def test_required_and_nowhere(self, place: Any) -> None:
        class Strict(Settings):
            environment: str

        place.write("config/service.development.yaml", "")
        with pytest.raises(SettingsError, match="ENVIRONMENT is required"):
            load(Strict, environ={}, directory=place.root)


class TestMistakes:
    """All are reported together, each with its variable and its source."""

    def test_every_kind_at_once(self, place: Any) -> None:
        place.write(".env", "LOG_KEYS=[1,\nthis is no assignment\n")
        place.write("config/service.yaml", "logging:\n  levle: x\nlimits:\n  requests: -1\n")
        place.write("config/defaults.yaml", "logging: [\n")
        place.write("secrets/LIMITING_ENABLED", "maybe")
        assert place.mistakes({"PAYMENTS_API_KEY": "", "ENVIRONMENT": "production", "DEBUG": "true"}) == [
            ".env must hold NAME=value on each line (.env line 2)",
            "logging.levle is no setting; did you mean logging.level? (config/service.yaml line 2)",
            (
                "config/defaults.yaml is no valid YAML: did not find expected node content"
                " (config/defaults.yaml line 2)"
            ),
            "LOG_KEYS must be JSON, which it is not at character 4 (.env line 1)",
            (
                "LIMITING_ENABLED must be a valid boolean, not maybe (secret file "
                f"{place.root}/secrets/LIMITING_ENABLED)"
            ),
            "LIMIT_REQUESTS must be greater than 0, not -1 (config/service.yaml line 4)",
            "PAYMENTS_API_KEY is required, and empty counts as not set (environment PAYMENTS_API_KEY)",
            "DEBUG must be false in production (environment DEBUG)",
            "DATABASE_URL must be a server in production (default)",
        ]

    def test_message_counts_them(self) -> None:
        class Two(Settings):
            a: int
            b: int

        with pytest.raises(SettingsError) as caught:
            load(Two, environ={"A": "x", "B": "1"}, directory=Path("/nonexistent"))
        assert str(caught.value).startswith("1 setting is wrong:\n  A must be a valid integer")
        with pytest.raises(SettingsError, match=r"^2 settings are wrong:"):
            load(Two, environ={}, directory=Path("/nonexistent"))

    def test_missing_value_says_where_to_set_it(self, place: Any) -> None:
        class Needy(Settings):
            name: str
            key: SecretStr

        with pytest.raises(SettingsError) as caught:
            load(Needy, environ={}, directory=place.root)
        assert [str(mistake) for mistake in caught.value.mistakes] == [
            (
                "NAME is required: set it in the environment, .env or a secret file,"
                " or name in config/service.yaml"
            ),
            "KEY is required: set it in the environment, .env or a secret file",
        ]

    def test_group_check_names_the_group(self, place: Any) -> None:
        from pydantic import model_validator

        class Window(Group, prefix="WINDOW_"):
            start: int = 0
            end: int = 0

            @model_validator(mode="after")
            def check(self) -> "Window":
                if self.start > self.end:
                    raise ValueError("Start must come before end")
                return self

        class Whole(Settings):
            window: Window = Window()

            @model_validator(mode="after")
            def check(self) -> "Whole":
                if self.window.end == 99:
                    raise ValueError("no")
                return self

        def mistakes(**environ: str) -> list[str]:
            with pytest.raises(SettingsError) as caught:
                load(Whole, environ=environ, directory=place.root)
            return [str(mistake) for mistake in caught.value.mistakes]

        assert mistakes(WINDOW_START="2") == ["WINDOW_* start must come before end"]
        assert mistakes(WINDOW_END="99", ENVIRONMENT="production") == ["settings no"]
        assert mistakes(WINDOW_START="2", ENVIRONMENT="production") == ["WINDOW_* start must come before end"]

    def test_item_of_a_list_is_counted(self, place: Any) -> None:
        class Ports(Settings):
            ports: list[int] = Field([])

        with pytest.raises(SettingsError, match=r"PORTS must be a valid integer.* \(item 2\), not 1,x"):
            load(Ports, environ={"PORTS": "1,x"}, directory=place.root)

    @pytest.mark.parametrize("none", ["inf", "-inf", "nan", "1e999"])
    def test_number_that_is_none_is_refused(self, place: Any, none: str) -> None:
        class Wait(Group):
            seconds: float = Field(1.0, ge=0)
            steps: list[float] = Field([])
            by_name: dict[str, float | None] = Field({})

        class Waits(Settings):
            limit: float | None = None
            wait: Wait = Wait()

        with pytest.raises(SettingsError) as caught:
            load(
                Waits,
                environ={
                    "LIMIT": none,
                    "WAIT_SECONDS": none,
                    "WAIT_STEPS": f"1,{none}",
                    "WAIT_BY_NAME": '{"a": NaN}',
                },
                directory=place.root,
            )
        assert [str(mistake) for mistake in caught.value.mistakes] == [
            f"LIMIT must be a finite number, not {none} (environment LIMIT)",
            f"WAIT_SECONDS must be a finite number, not {none} (environment WAIT_SECONDS)",
            f"WAIT_STEPS must be a finite number (item 2), not 1,{none} (environment WAIT_STEPS)",
            'WAIT_BY_NAME must be a finite number, not {"a": NaN} (environment WAIT_BY_NAME)',
        ]

    def test_a_field_may_allow_what_is_not_finite(self, place: Any) -> None:
        class Endless(Settings):
            limit: float = Field(float("inf"), allow_inf_nan=True)

        assert load(Endless, environ={}, directory=place.root).limit == float("inf")

    def test_password_of_a_url_without_its_scheme_is_not_told(self, place: Any) -> None:
        class Traced(Settings):
            endpoint: str = Field("http://h", pattern="^https?://")

        with pytest.raises(SettingsError, match=r", not u:\*\*\*@h:4317 \(") as caught:
            load(Traced, environ={"ENDPOINT": "u:hunter2secret@h:4317"}, directory=place.root)
        assert "hunter2" not in str(caught.value)

    def test_all_members_of_a_union_are_told(self, place: Any) -> None:
        class Many(Settings):
            size: int | bool = 0

        with pytest.raises(SettingsError, match=r"integer.*; must be a valid boolean.*, not x{80}\.\.\."):
            load(Many, environ={"SIZE": "x" * 200}, directory=place.root)

    def test_default_that_is_wrong(self, place: Any) -> None:
        class Odd(Settings):
            size: int = "many"  # type: ignore[assignment]  # the mistake under test

        with pytest.raises(SettingsError, match=r"SIZE must be a valid integer.*\(default\)"):
            load(Odd, environ={}, directory=place.root)

    def test_number_for_text_in_yaml(self, place: Any) -> None:
        place.write("config/service.yaml", "logging: {level: 1.10}\n")
        assert place.mistakes() == [
            "LOG_LEVEL must be a valid string: put it in quotes, not 1.1 (config/service.yaml line 1)"
        ]

    def test_unknown_arguments(self, place: Any) -> None:
        assert place.mistakes(colour="red", logging=5, limits={"speed": 1}) == [
            "colour is no setting (init argument)",
            "logging must be a group of settings (init argument)",
            "limits.speed is no setting (init argument)",
        ]


class TestAmbiguity:
    def test_two_leaves_of_one_variable(self) -> None:
        class Twice(Settings):
            first: "Shared"
            second: "Shared"

        class Shared(Group, prefix="SHARED_"):
            url: str = ""

        Twice.model_rebuild(_types_namespace={"Shared": Shared})
        with pytest.raises(SettingsError) as caught:
            load(Twice, environ={}, directory=Path("/nonexistent"))
        assert [str(mistake) for mistake in caught.value.mistakes] == [
            (
                "SHARED_URL is the variable of first.url and of second.url: give all but one another name"
                " with Variable(...) on the field or Prefix(...) on its group"
            )
        ]

    def test_a_prefix_does_not_change_a_whole_name(self) -> None:
        class Switch(Group):
            enabled: Annotated[bool, Variable("SWITCH_ON")] = True

        class Twice(Settings):
            first: Switch = Switch()
            second: Annotated[Switch, Prefix("SECOND_")] = Switch()

        with pytest.raises(SettingsError, match="SWITCH_ON is the variable of first"):
            load(Twice, environ={}, directory=Path("/nonexistent"))


class TestGroups:
    def test_group_as_instance(self, place: Any, sample: Any) -> None:
        log = sample.model_fields["logging"].default.__class__
        settings = place.load({"LOG_CALLER": "true"}, logging=log(level="warn"))
        assert settings.logging == log(level="warn", caller=True)

    def test_default_of_the_code_is_added_to(self, place: Any) -> None:
        assert place.load().database.pool.size == 7
        assert place.load({"DATABASE_URL": "x"}).database.pool.size == 7
        assert place.load({"DATABASE_POOL_SIZE": "9"}).database.pool.size == 9

    def test_optional_group_exists_when_a_value_is_set(self, place: Any) -> None:
        assert place.load().replica is None
        assert place.load({"REPLICA_URL": "y"}).replica.url == "y"
        assert place.load({"REPLICA_POOL_SIZE": "2"}).replica.pool.size == 2

    def test_required_group_is_built_from_nothing(self, place: Any) -> None:
        class Bare(Group):
            size: int = 1

        class Whole(Settings):
            bare: Bare

        assert load(Whole, environ={}, directory=place.root).bare.size == 1

    def test_required_group_inside_one_that_is_not_there(self, place: Any) -> None:
        class Bare(Group):
            size: int = 1

        class Outer(Group):
            bare: Bare

        class Whole(Settings):
            outer: Outer | None = None

        assert load(Whole, environ={}, directory=place.root).outer is None
        loaded = load(Whole, environ={"OUTER_BARE_SIZE": "2"}, directory=place.root)
        assert loaded.outer == Outer(bare=Bare(size=2))

    def test_settings_never_change(self, place: Any) -> None:
        settings = place.load()
        with pytest.raises(ValidationError):
            settings.debug = True
        with pytest.raises(ValidationError):
            settings.logging.level = "x"


class TestConstruction:
    def test_no_source_is_asked(self, sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOG_LEVEL", "loud")
        settings = sample(payments={"api_key": KEY})
        assert settings.logging.level == "info"
        assert source(settings, "LOG_LEVEL") == "default"
        assert source(settings, "PAYMENTS_API_KEY") == "init argument"
        assert settings.warnings == ()

    def test_equal_by_values_alone(self, place: Any, sample: Any) -> None:
        assert place.load({"LOG_LEVLE": "x"}) == sample(payments={"api_key": KEY})


class TestEmpty:
    """Empty counts as not set; null clears an optional value."""

    def test_empty_leaves_it_to_the_next_source(self, place: Any) -> None:
        place.write(".env", "LOG_LEVEL=\nLOG_CALLER\n")
        place.write("secrets/log_level", "\n")
        place.write("config/service.yaml", "logging: {level: yaml, caller: true}\n")
        settings = place.load({"LOG_LEVEL": ""})
        assert settings.logging.level == "yaml"
        assert settings.logging.caller is True

    def test_null_clears(self, place: Any) -> None:
        place.write("config/service.yaml", "logging: {caller: true}\n")
        assert place.load({"LOG_CALLER": "null"}).logging.caller is None

    def test_null_is_text_where_none_is_no_value(self, place: Any) -> None:
        assert place.load({"LOG_LEVEL": "null"}).logging.level == "null"

    def test_empty_section_sets_nothing(self, place: Any) -> None:
        place.write("config/service.yaml", "logging:\nreplica: null\n")
        assert place.load().replica is None


class TestNames:
    def test_the_example_of_the_documentation(self, place: Any) -> None:
        page = (Path(__file__).parents[3] / "docs/reference/configuration.md").read_text(encoding="utf-8")
        lines = page[page.index("    class PaymentSettings") : page.index("A group that may be None")]
        names: dict[str, Any] = {}
        exec(f"{IMPORTS}\n{dedent(lines)}", names)
        environ = {"PAYMENTS_API_KEY": KEY, "PAYMENTS_ON": "false", "SECRETS_DIR": "secrets"}
        settings = load(names["Settings"], environ=environ, directory=place.root)
        assert settings.selling is False
        assert settings.refunds is None
        settings = load(names["Settings"], environ=environ | {"REFUNDS_API_KEY": KEY}, directory=place.root)
        assert settings.refunds.api_key.get_secret_value() == KEY

    def test_nested_form(self, place: Any) -> None:
        settings = place.load({"DATABASE__POOL__SIZE": "3"})
        assert settings.database.pool.size == 3
        assert source(settings, "DATABASE_POOL_SIZE") == "environment DATABASE__POOL__SIZE"

    @pytest.mark.parametrize("name", ["log_level", "Log_Level", "logging__level"])
    def test_case_does_not_matter(self, place: Any, name: str) -> None:
        assert place.load({name: "x"}).logging.level == "x"

    def test_capitals_win(self, place: Any) -> None:
        assert place.load({"log_level": "x", "LOG_LEVEL": "y", "Log_Level": "z"}).logging.level == "y"

    def test_canonical_name_wins_with_a_warning(self, place: Any) -> None:
        settings = place.load({"LOG_LEVEL": "y", "LOGGING__LEVEL": "x"})
        assert settings.logging.level == "y"
        assert [str(warning) for warning in settings.warnings] == [
            "LOGGING__LEVEL is ignored, because LOG_LEVEL is set as well (environment LOGGING__LEVEL)"
        ]

    def test_both_names_alike_are_no_matter(self, place: Any) -> None:
        assert place.load({"LOG_LEVEL": "y", "LOGGING__LEVEL": "y"}).warnings == ()


class TestAlmostRight:
    @pytest.mark.parametrize("name", ["LOG_LEVLE", "LOG_LEVE", "LOG_LEVELS", "LGO_LEVEL", "LOG_LEVAL"])
    def test_warned_of(self, place: Any, name: str) -> None:
        (warning,) = place.load({name: "x"}).warnings
        assert str(warning) == (
            f"{name} is no variable of this service; did you mean LOG_LEVEL? (environment {name})"
        )

    def test_the_canonical_name_is_suggested_before_the_nested_one(self, place: Any) -> None:
        class Identity(Group, prefix="SERVICE_"):
            name: str = "a"

        class Named(Settings):
            service: Identity = Identity()

        (warning,) = load(Named, environ={"SERVICE_NAMEX": "x"}).warnings
        assert str(warning).startswith(
            "SERVICE_NAMEX is no variable of this service; did you mean SERVICE_NAME?"
        )

    def test_in_env_file(self, place: Any) -> None:
        place.write(".env", "\nDATABSE_URL=x\n")
        (warning,) = place.load().warnings
        assert (warning.variable, warning.source) == ("DATABSE_URL", ".env line 2")

    @pytest.mark.parametrize("name", ["PATH", "LOG_FILE", "HOSTNAME", "DEBUGS", "DATABASE_PORT", "DEBU"])
    def test_strangers_are_left_alone(self, place: Any, name: str) -> None:
        expected = {"DEBUGS": "DEBUG"}.get(name)
        warnings = place.load({name: "x"}).warnings
        assert [w.variable for w in warnings] == []
        assert expected in {None, "DEBUG"}

    def test_told_beside_the_mistakes(self, place: Any) -> None:
        with pytest.raises(SettingsError, match="this looks odd:\n  PAYMENTS_API_KYE is no variable"):
            place.load({"PAYMENTS_API_KEY": "", "PAYMENTS_API_KYE": "x"})


class TestSecretInFile:
    def test_warned_of(self, place: Any) -> None:
        place.write("config/service.yaml", f"payments:\n  api_key: {KEY}\n")
        settings = place.load({"PAYMENTS_API_KEY": ""})
        (warning,) = settings.warnings
        assert str(warning).startswith("PAYMENTS_API_KEY is a secret in a file that is usually committed")
        assert warning.source == "config/service.yaml line 2"
        assert json.dumps(str(warning)).find(KEY) == -1
