"""Exceptions of an application, and handlers that do everything a handler can do.

``NOTES`` collects what happened beside the response: which clean-up ran, and in which order.
"""

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.background import BackgroundTask
from starlette.responses import Response

__all__ = [
    "NOTES",
    "ChainError",
    "ChildError",
    "LateError",
    "OwnError",
    "PanicError",
    "ReadError",
    "SlowError",
    "SplitError",
    "TrapError",
    "add_handlers",
    "add_own_answers",
]

NOTES: list[str] = []


class OwnError(Exception):
    """Has a handler."""


class ChildError(OwnError):
    """Is answered by its parent's."""


class PanicError(BaseException):
    """Is what a library written in Rust raises when it panics."""


class SlowError(Exception):
    """Has a handler that is a plain function."""


class ChainError(Exception):
    """Has a handler that raises ``OwnError``."""


class TrapError(Exception):
    """Has a handler that fails."""


class LateError(Exception):
    """Has a handler whose response has background work."""


class ReadError(Exception):
    """Has a handler that reads the body."""


class SplitError(Exception):
    """Has a handler whose response no server sends: there is a line break in a header."""


def add_handlers(app: FastAPI) -> None:
    """Add a handler for each of them."""

    @app.exception_handler(OwnError)
    async def own(request: Request, error: OwnError) -> Response:
        return JSONResponse({"own": str(error), "path": request.url.path}, 409, headers={"x-own": "yes"})

    @app.exception_handler(SlowError)
    def slow(_: Request, error: SlowError) -> Response:
        return PlainTextResponse(f"slow: {error}", 418)

    @app.exception_handler(ChainError)
    async def chain(_: Request, error: ChainError) -> Response:
        raise OwnError(f"after {error}")

    @app.exception_handler(TrapError)
    async def trap(_: Request, error: TrapError) -> Response:
        raise LookupError(f"in the handler of {error}")

    @app.exception_handler(LateError)
    async def late(_: Request, error: LateError) -> Response:
        return PlainTextResponse("later", 202, background=BackgroundTask(NOTES.append, f"later: {error}"))

    @app.exception_handler(ReadError)
    async def read(request: Request, _: ReadError) -> Response:
        return PlainTextResponse(await request.body(), 400)

    @app.exception_handler(SplitError)
    async def split(_: Request, error: SplitError) -> Response:
        return PlainTextResponse(str(error), 409, headers={"x-split": "a\r\nb"})

    @app.exception_handler(410)
    async def gone(_: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"gone: {error.detail}", 410)


def add_own_answers(app: FastAPI) -> None:
    """Have the application answer 404, 405 and what nobody expected in its own way."""

    @app.exception_handler(404)
    async def not_found(request: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"nothing at {request.url.path}: {error.detail}", 404)

    @app.exception_handler(405)
    def not_allowed(_: Request, error: HTTPException) -> Response:
        return PlainTextResponse("not like this", 405, headers=error.headers)

    @app.exception_handler(Exception)
    async def crashed(_: Request, error: Exception) -> Response:
        NOTES.append(f"crash handler: {error}")
        return PlainTextResponse("sorry", 500)
