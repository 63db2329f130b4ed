"""A resource."""

from fastapi import APIRouter
from pydantic import BaseModel

from chassis.errors import NotFound

router = APIRouter(prefix="/items", tags=["items"])


class ItemNotFound(NotFound):
    """There is no such item."""

    code = "ITEM_NOT_FOUND"


class Item(BaseModel):
    """An item."""

    item_id: int
    name: str


@router.get("/{item_id}")
async def read(item_id: int) -> Item:
    """Return an item."""
    if item_id > 100:
        raise ItemNotFound("No item has this id.")
    return Item(item_id=item_id, name="pear")
