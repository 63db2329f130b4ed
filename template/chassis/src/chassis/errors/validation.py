"""What is wrong with the fields of a request, for the client that sent it."""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import core_schema

from chassis.errors.text import safe_text

__all__ = ["MOST_FIELD_ERRORS", "NOT_JSON", "FieldError", "field_errors"]

MOST_FIELD_ERRORS: Final = 100
"""Field errors listed in one answer: a small request must not cause a huge response."""

NOT_JSON: Final = "json_invalid"
"""What FastAPI calls a body that cannot be parsed."""

_OWN_WORDS: Final = frozenset(get_args(core_schema.ErrorType)) - {"value_error", "assertion_error"}
_SHORTEST_VALUE: Final = 3  # to take out a shorter one would eat the prose


class FieldError(BaseModel):
    """One field of a request that is wrong, told without the text or number that was sent."""

    model_config = ConfigDict(defer_build=True)

    location: str = Field(description="Part of the request: body, query, path, header or cookie.")
    pointer: str = Field(
        description="JSON Pointer (RFC 6901) to the field inside that part; empty for the whole."
    )
    message: str = Field(description="What is wrong, for people.")
    type: str = Field(description="What is wrong, for programs.")


def field_errors(found: Sequence[Mapping[str, object]]) -> list[FieldError]:
    """Return the first ``MOST_FIELD_ERRORS`` of what pydantic's ``errors()`` found."""
    return [_field_error(error) for error in found[:MOST_FIELD_ERRORS]]


def _field_error(error: Mapping[str, object]) -> FieldError:
    raw = error.get("loc")
    parts = [str(part) for part in raw] if isinstance(raw, Sequence) else []
    location, *path = parts or ["body"]
    kind = str(error.get("type", "invalid"))
    if kind == NOT_JSON:
        # The place is a number of characters, and nothing inside the body can be pointed at.
        message = f"The body is not JSON: {_reason(error)} at character {' '.join(path)}."
        return FieldError(location=location, pointer="", message=safe_text(message), type=kind)
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return FieldError(
        location=location, pointer=safe_text(pointer), message=safe_text(_message(kind, error)), type=kind
    )


def _reason(error: Mapping[str, object]) -> str:
    """Return what the parser says, which names no value: ``Expecting value``."""
    context = error.get("ctx")
    reason = context.get("error") if isinstance(context, Mapping) else None
    # Some of its sentences end in "at", before a place that is told behind them.
    return str(reason or "it cannot be parsed").removesuffix(" at")


def _message(kind: str, error: Mapping[str, object]) -> str:
    """Return pydantic's message without the value that was sent.

    Pydantic's own messages name what is expected. Two kinds can repeat the input: the tag of a union, and the
    text of a ``ValueError`` that a validator raised.
    """
    message = str(error.get("msg", "Invalid."))
    if kind == "union_tag_invalid":
        context = error.get("ctx")
        expected = context.get("expected_tags") if isinstance(context, Mapping) else None
        return f"Input should have one of the tags {expected}" if expected else "Input has an unknown tag"
    sent = error.get("input")
    if kind in _OWN_WORDS or not isinstance(sent, str | int | float) or len(str(sent)) < _SHORTEST_VALUE:
        return message
    return message.replace(str(sent), "***")
