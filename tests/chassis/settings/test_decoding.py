"""Text becomes the value it stands for."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from typing_extensions import TypeAliasType

from chassis.settings import Settings, load
from chassis.settings.decoding import decode

steady = examples(deadline=None, max_examples=50)


class Point(BaseModel):
    x: int


@dataclass
class Corner:
    y: int


class Shape(TypedDict):
    z: int


Tags = TypeAliasType("Tags", list[str])

words = st.text(st.characters(codec="utf-8", exclude_characters=","), min_size=1).filter(
    lambda text: text == text.strip() and text[:1] not in {"[", "{"}
)


@pytest.mark.parametrize(
    "kind",
    [
        list[str],
        tuple[str, ...],
        set[str],
        frozenset[str],
        deque[str],
        Sequence[str],
        list,
        Tags,
        Annotated[list[str], Field(min_length=1)],
        list[str] | None,
    ],
)
@pytest.mark.parametrize("text", ["a,b", " a , b ,, ", '["a", "b"]'])
def test_list(kind: Any, text: str) -> None:
    assert decode(text, kind) == ["a", "b"]


@pytest.mark.parametrize(
    "kind", [dict[str, int], Mapping[str, int], Point, Corner, Shape, dict, Point | None]
)
def test_mapping(kind: Any) -> None:
    assert decode('{"x": 1}', kind) == {"x": 1}
    with pytest.raises(ValueError, match="must be a JSON object"):
        decode("x=1", kind)


@pytest.mark.parametrize("kind", [str, int, Literal["[a"], Any, Path, int | None, str | Literal[5]])
def test_other_text_is_left_to_pydantic(kind: Any) -> None:
    assert decode("[a", kind) == "[a"


def test_text_or_list() -> None:
    assert decode("[1]", str | list[int]) == [1]
    assert decode("[1", str | list[int]) == "[1"
    assert decode("a,b", str | list[int]) == "a,b"


def test_broken_json_is_told_without_its_text() -> None:
    with pytest.raises(ValueError, match="must be JSON, which it is not at character 12") as caught:
        decode('["hunter2",', list[str])
    assert caught.value.__context__ is None


def test_json_of_endless_digits_is_a_mistake_and_no_crash() -> None:
    with pytest.raises(ValueError, match=r"must be JSON, which it is not$"):
        decode("[" + "1" * 5000 + "]", list[int])


def test_null() -> None:
    assert decode("null", int | None) is None
    assert decode("null", str) == "null"


@steady
@given(st.lists(words))
def test_comma_separated_round_trip(items: list[str]) -> None:
    assert decode(",".join(items), list[str]) == items


@steady
@given(st.lists(st.text()))
def test_json_round_trip(items: list[str]) -> None:
    assert decode(json.dumps(items), list[str]) == items


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (int, st.integers(-(10**15), 10**15)),
        (float, st.floats(allow_nan=False, allow_infinity=False)),
        (bool, st.booleans()),
        (dict[str, list[int]], st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 9)), max_size=3)),
    ],
)
def test_values_survive_the_way_through_a_variable(kind: Any, values: Any) -> None:
    cls = create_model("One", __base__=Settings, value=(kind, ...))

    @steady
    @given(values)
    def check(value: Any) -> None:
        environ = {"VALUE": json.dumps(value)}
        assert load(cls, environ=environ, directory=Path("/nonexistent")).value == value  # type: ignore[attr-defined]  # a generated class

    check()
