"""The application; its stock is loaded when it starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request

router = APIRouter(prefix="/products")


@router.get("/{sku}")
async def product(sku: str, request: Request) -> dict[str, str]:
    """Describe a product."""
    return {"sku": sku, "title": request.state.titles.get(sku, "unknown")}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, dict[str, str]]]:
    """Load what is for sale."""
    yield {"titles": {"lamp": "Desk lamp"}}


app = FastAPI(title="Catalog", lifespan=lifespan)
app.include_router(router)
