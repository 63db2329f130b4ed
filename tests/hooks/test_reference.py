"""The generated reference says what the settings classes say."""

import importlib.util
import sys
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr

from chassis.logging import LoggingSettings
from chassis.service_settings import ServiceSettings
from chassis.settings import Catalog, Group, Settings, Variable, load

SCRIPT = Path(__file__).parents[2] / "hooks/reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_under_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Group):
    """What is inside. A second sentence."""

    size: int = Field(1, ge=1, le=9, description="Size in MiB.")


class Outer(Group, prefix="OUT_"):
    """The group
    of two lines.

    And a second paragraph.
    """

    inner: Inner = Inner(size=4)
    colour: Colour = Field(Colour.RED, description="Red | blue.")
    level: Literal["low", "high"] | None = Field(None, description="Level.")
    hosts: list[str] = Field(["a", "b"], description="Hosts.")
    pairs: list[str] = Field(["a,b"], description="Pairs.")
    routes: dict[str, int] = Field({"a": 1}, description="Routes.")
    greeting: str = Field("hello # world", description="Greeting.")
    empty: str = ""


class Whole(Settings):
    """All of it."""

    debug: bool = Field(False, description="Debug.")
    ratio: float = Field(0.5, gt=0, lt=1, description="Ratio.")
    key: SecretStr = Field(description="Key.")
    spare: SecretStr = Field(SecretStr("hidden-default"), description="Spare key.")
    outer: Outer = Field(default_factory=Outer)


class Extra(Group):
    """An optional part."""

    url: Annotated[str, Variable("EXTRA_LINK")] = Field("x", description="Link.")
    inner: Inner = Inner()


BUNDLES: dict[str, Any] = {"extra": Extra}


def test_page(reference: Any) -> None:
    page = reference.settings_page(Whole, BUNDLES)
    lines = page.splitlines()
    assert "| `DEBUG` | `debug` | `false` | Debug. (true or false) |" in lines
    assert "| `RATIO` | `ratio` | `0.5` | Ratio. (number; more than 0, less than 1) |" in lines
    assert "| `KEY` | `key` | required | Key. (secret) |" in lines
    assert "| `SPARE` | `spare` | `***` | Spare key. (secret) |" in lines
    assert "## `outer`" in lines
    assert "The group of two lines." in lines
    assert "| `OUT_COLOUR` | `outer.colour` | `red` | Red \\| blue. (one of red, blue) |" in lines
    assert "| `OUT_LEVEL` | `outer.level` | not set | Level. (one of low, high) |" in lines
    assert '| `OUT_HOSTS` | `outer.hosts` | `["a","b"]` | Hosts. (list) |' in lines
    assert '| `OUT_ROUTES` | `outer.routes` | `{"a":1}` | Routes. (JSON object) |' in lines
    assert "| `OUT_EMPTY` | `outer.empty` | empty |  |" in lines
    assert (
        "| `OUT_INNER_SIZE` | `outer.inner.size` | `4` | Size in MiB. (whole number; at least 1, at most 9) |"
        in lines
    )
    assert "## Bundle `extra`: `extra`" in lines
    assert "| `EXTRA_LINK` | `extra.url` | `x` | Link. |" in lines
    assert "hidden-default" not in page


def test_the_page_of_this_repository_lists_every_variable() -> None:
    page = (SCRIPT.parents[1] / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert [
        leaf.variable for leaf in Catalog(ServiceSettings).leaves if f"| `{leaf.variable}` |" not in page
    ] == []


def test_env_example(reference: Any) -> None:
    text = reference.env_example(Whole, BUNDLES)
    lines = text.splitlines()
    assert "KEY=" in lines
    assert "# SPARE=" in lines
    assert "# OUT_LEVEL=" in lines
    assert "# OUT_GREETING='hello # world'" in lines
    assert "# --- What is inside." in lines
    start, end = lines.index("{%- if 'extra' in bundles %}"), lines.index("{%- endif %}")
    assert [line for line in lines[start:end] if "EXTRA" in line] == [
        "# EXTRA_LINK=x",
        "# EXTRA_INNER_SIZE=1",
    ]


def test_every_default_of_the_example_is_the_real_one(reference: Any, tmp_path: Path) -> None:
    """With every line switched on, nothing changes."""
    lines = reference.env_example(Whole, {}).splitlines()
    names = tuple(f"# {leaf.variable}=" for leaf in Catalog(Whole).leaves)
    active = [line.removeprefix("# ") if line.startswith(names) else line for line in lines]
    (tmp_path / ".env").write_text("\n".join(active))
    environ = {"KEY": "x", "SECRETS_DIR": "."}
    assert load(Whole, environ=environ, directory=tmp_path) == Whole(key=SecretStr("x"))


def test_every_default_of_a_service_is_the_real_one(reference: Any, tmp_path: Path) -> None:
    """The example that is rendered, with every line switched on: the start of many a .env file."""
    lines = reference.env_example(ServiceSettings, {}).splitlines()
    names = tuple(f"# {leaf.variable}=" for leaf in Catalog(ServiceSettings).leaves)
    active = [line.removeprefix("# ") if line.startswith(names) else line for line in lines]
    (tmp_path / ".env").write_text("\n".join(active))
    for name in ("config", "secrets"):
        (tmp_path / name).mkdir()
    environ = {"CONFIG_DIR": str(tmp_path / "config"), "SECRETS_DIR": str(tmp_path / "secrets")}
    loaded = load(ServiceSettings, environ=environ, directory=tmp_path)
    # The fields of logging take any text, so that a broken one still lets the service start.
    assert loaded.model_copy(update={"logging": LoggingSettings()}) == ServiceSettings()


def test_write_and_check(reference: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, example = tmp_path / "settings.md", tmp_path / "example"
    sys.modules["reference_sample"] = sys.modules[__name__]
    arguments = [
        "--settings=reference_sample:Whole",
        "--bundle=extra=reference_sample:Extra",
        f"--page={page}",
        f"--env-example={example}",
    ]
    try:
        assert reference.main([*arguments, "--check"]) == 1
        assert reference.main(arguments) == 0
        assert reference.main([*arguments, "--check"]) == 0
        page.write_text("stale")
        assert reference.main([*arguments, "--check"]) == 1
    finally:
        del sys.modules["reference_sample"]
    assert f"{page} is out of date: run python hooks/reference.py" in capsys.readouterr().err
    assert example.read_text() == reference.env_example(Whole, BUNDLES)
