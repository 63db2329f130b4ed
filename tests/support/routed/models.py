"""What the routes take and give."""

from enum import Enum

from pydantic import BaseModel, Field


class Kind(Enum):
    SMALL = "small"
    LARGE = "large"


class Thing(BaseModel):
    name: str
    price: float = Field(default=1.5, alias="cost")
    note: str | None = None
    tags: list[str] = []


class Shown(BaseModel):
    name: str
    price: float = Field(default=1.5, alias="cost")
    note: str | None = None


class RefusedError(Exception):
    pass


def shout(q: str = "q") -> str:
    return q.upper()


def even(value: int) -> int:
    if value % 2:
        raise ValueError("not even")
    return value
