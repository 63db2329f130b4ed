"""The application factory, with the middlewares that grew over the years."""

import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse


def create_app(currency: str = "EUR") -> FastAPI:
    """Build the application."""
    app = FastAPI(title="Payments")
    app.add_middleware(GZipMiddleware, minimum_size=500)
    app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example.com"])

    @app.middleware("http")
    async def timed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started_at = time.perf_counter()
        response = await call_next(request)
        response.headers["X-Took"] = f"{time.perf_counter() - started_at:.6f}"
        return response

    @app.exception_handler(ValueError)
    async def refuse(_: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.get("/payments/{number}")
    async def payment(number: int) -> dict[str, object]:
        if number < 1:
            raise ValueError("numbers begin at 1")
        return {"number": number, "currency": currency}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"mine": "fine"}

    return app
