"""Variable names and leaves correspond one to one."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr, create_model

from chassis.settings import AnyStrength, Catalog, Group, Prefix, Settings, SettingsError, Variable, load

names = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,3})?", fullmatch=True)
prefixes = st.none() | st.sampled_from(["", "A_", "LOG_", "X_Y_"])

steady = examples(deadline=None, max_examples=50)


@st.composite
def settings_classes(draw: st.DrawFn) -> type[Settings]:
    """Any class of leaves and groups in groups, with and without prefixes."""

    def fields(depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
            if depth and draw(st.booleans()):
                group = create_model("Generated", __base__=Group, **fields(depth - 1))
                group.variable_prefix = draw(prefixes)
                found[name] = (group, ...)
            else:
                found[name] = (int, 0)
        return found

    return create_model("Whole", __base__=Settings, **fields(2))


@steady
@given(settings_classes())
def test_names_and_leaves_correspond_or_are_refused(cls: type[Settings]) -> None:
    catalog = Catalog(cls)
    names = [name for leaf in catalog.leaves for name in {leaf.variable, leaf.nested}]
    if len(names) > len(set(names)):
        with pytest.raises(SettingsError, match="is the variable of"):
            catalog.refuse_ambiguity()
        return
    catalog.refuse_ambiguity()
    for leaf in catalog.leaves:
        assert catalog.by_name[leaf.variable] is leaf
        assert catalog.by_name[leaf.nested] is leaf
        assert catalog.by_path[leaf.path] is leaf
    assert len(catalog.by_name) == len(names)


@steady
@given(settings_classes(), st.data())
def test_each_name_sets_its_leaf_alone(cls: type[Settings], data: st.DataObject) -> None:
    catalog = Catalog(cls)
    try:
        catalog.refuse_ambiguity()
    except SettingsError:
        return
    name = data.draw(st.sampled_from(sorted(catalog.by_name)))
    environ = {"SECRETS_DIR": "/", "CONFIG_DIR": "/", name: "7"}
    settings = load(cls, environ=environ, directory=Path("/nonexistent"))
    for leaf in catalog.leaves:
        value: Any = settings
        for part in leaf.path:
            value = getattr(value, part)
        assert value == (7 if leaf is catalog.by_name[name] else 0)


class Inner(Group):
    size: int = 1


class Outer(Group, prefix="OUT_"):
    inner: Inner = Inner()
    own: Annotated[int, Variable("QUITE_OTHER")] = 1


class TestNames:
    def variables(self, cls: type[Settings]) -> list[str]:
        return [leaf.variable for leaf in Catalog(cls).leaves]

    def test_prefixes(self) -> None:
        class Whole(Settings):
            level: int = 0
            outer: Outer = Outer()
            plain: Inner = Inner()
            again: Annotated[Inner, Prefix("AGAIN_")] = Inner()
            maybe: Annotated[Inner, Prefix("MAYBE_")] | None = None

        assert self.variables(Whole) == [
            "LEVEL",
            "OUT_INNER_SIZE",
            "QUITE_OTHER",
            "PLAIN_SIZE",
            "AGAIN_SIZE",
            "MAYBE_SIZE",
        ]

    def test_prefix_is_inherited(self) -> None:
        class Heir(Outer):
            more: int = 1

        class Whole(Settings):
            heir: Heir = Heir()

        assert "OUT_MORE" in self.variables(Whole)

    def test_union_of_groups_is_one_value(self) -> None:
        class Whole(Settings):
            either: Inner | Outer = Inner()

        assert self.variables(Whole) == ["EITHER"]


class Account(BaseModel):
    name: str
    password: SecretStr
    parent: "Account | None" = None


class Reference(Group):
    a: SecretStr = SecretStr("")
    b: SecretBytes | None = None
    c: list[SecretStr] = Field([])
    d: Secret[int] = Secret(1)
    e: dict[str, Account] = Field({})
    f: Annotated[SecretStr, AnyStrength("theirs")] | None = None
    g: str = ""
    h: list[int] | None = None


@pytest.mark.parametrize("leaf", Catalog(Reference).leaves, ids=lambda leaf: leaf.dotted)
def test_secret_anywhere_in_the_type_makes_a_secret(leaf: Any) -> None:
    assert leaf.secret == (leaf.dotted < "g")
    assert leaf.optional == (leaf.dotted in {"b", "f", "h"})
