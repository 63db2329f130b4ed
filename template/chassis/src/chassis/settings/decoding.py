"""Text made into what pydantic can validate: variables hold text, fields hold lists and mappings.

A list is comma separated or JSON, a mapping is JSON, ``null`` clears an optional field. Everything else is
passed on as text, which pydantic reads: ``true``, ``8000``, ``2.5``, ``PT30S``.
"""

import json
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from enum import Enum
from types import NoneType
from typing import Annotated, get_args, get_origin, is_typeddict

from pydantic import BaseModel
from typing_inspection.introspection import is_union_origin
from typing_inspection.typing_objects import is_typealiastype

__all__ = ["alternatives", "decode", "is_optional"]

_SEQUENCES = (list, tuple, set, frozenset, deque)
_ABSTRACT_SEQUENCES = (Sequence, AbstractSet, Collection)


class _Shape(Enum):
    SCALAR = "scalar"
    SEQUENCE = "sequence"
    MAPPING = "mapping"


def alternatives(annotation: object) -> Iterator[object]:
    """Yield each member of a union, or the type itself; ``Annotated`` and type aliases are looked through."""
    if is_typealiastype(annotation):
        yield from alternatives(annotation.__value__)
    elif get_origin(annotation) is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif is_union_origin(get_origin(annotation)):
        for member in get_args(annotation):
            yield from alternatives(member)
    else:
        yield annotation


def is_optional(annotation: object) -> bool:
    """Whether None is a value of the type."""
    return any(member in {None, NoneType} for member in alternatives(annotation))


def decode(text: str, annotation: object) -> object:
    """Return the value that the text stands for.

    Raises ``ValueError`` with words that continue a sentence and hold nothing of the text.
    """
    if text == "null" and is_optional(annotation):
        return None
    shapes = {_shape(member) for member in alternatives(annotation) if member not in {None, NoneType}}
    if text[:1] in {"[", "{"} and shapes != {_Shape.SCALAR}:
        try:
            return json.loads(text)
        except ValueError as error:
            if _Shape.SCALAR in shapes:
                return text
            place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
            problem = f"must be JSON, which it is not{place}"
    elif _Shape.SCALAR in shapes:
        return text
    elif _Shape.SEQUENCE in shapes:
        return [item.strip() for item in text.split(",") if item.strip()]
    else:
        problem = 'must be a JSON object, such as {"key": "value"}'
    # Raised here and not in the handler: the JSON error would carry the whole text along.
    raise ValueError(problem)


def _shape(annotation: object) -> _Shape:
    kind = get_origin(annotation) or annotation
    if kind in _ABSTRACT_SEQUENCES:
        return _Shape.SEQUENCE
    if not isinstance(kind, type):
        return _Shape.SCALAR
    if issubclass(kind, _SEQUENCES):
        return _Shape.SEQUENCE
    if issubclass(kind, Mapping | BaseModel) or is_dataclass(kind) or is_typeddict(kind):
        return _Shape.MAPPING
    return _Shape.SCALAR
