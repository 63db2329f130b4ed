"""What clients send and get back."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from chassis.errors import NotFound


class ItemDraft(BaseModel):
    """An item as a client describes it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=100, examples=["Desk lamp"])
    description: str = Field(default="", max_length=1000)


class Item(ItemDraft):
    """An item as the service keeps it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime


class ItemNotFound(NotFound):
    """No item has this identifier."""

    code = "ITEM_NOT_FOUND"
    title = "Item not found"
