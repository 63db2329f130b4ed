"""Bookings of meeting rooms."""

from fastapi import FastAPI, HTTPException
from store import ROOMS

app = FastAPI(title="Bookings")


@app.get("/rooms/{name}")
async def room(name: str) -> dict[str, object]:
    """Tell how many people a room seats."""
    if name not in ROOMS:
        raise HTTPException(404, "no such room")
    return {"name": name, "seats": ROOMS[name]}
