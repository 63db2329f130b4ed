"""The HTTP interface of items."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status

from .schemas import Item, ItemDraft
from .service import Items, items

router = APIRouter(prefix="/items", tags=["items"])

ItemsService = Annotated[Items, Depends(items)]


@router.get("")
async def list_items(
    service: ItemsService,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Sequence[Item]:
    """Return items, the oldest first."""
    return await service.page(limit=limit, offset=offset)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_item(draft: ItemDraft, service: ItemsService, request: Request, response: Response) -> Item:
    """Add an item. The Location header names it."""
    item = await service.create(draft)
    response.headers["Location"] = request.app.url_path_for("read_item", item_id=str(item.id))
    return item


@router.get("/{item_id}")
async def read_item(item_id: UUID, service: ItemsService) -> Item:
    """Return one item."""
    return await service.get(item_id)


@router.put("/{item_id}")
async def replace_item(item_id: UUID, draft: ItemDraft, service: ItemsService) -> Item:
    """Replace what a client may say about an item."""
    return await service.replace(item_id, draft)


@router.delete("/{item_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_item(item_id: UUID, service: ItemsService) -> None:
    """Remove an item."""
    await service.remove(item_id)
