"""Routes with responses and failures of all kinds."""
# ruff: noqa: C901 - a list of routes, each of which is simple

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, Response, status
from fastapi.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.background import BackgroundTask

from routed.models import RefusedError, Shown, Thing


def responses() -> APIRouter:
    router = APIRouter()
    thing = Thing(name="n", cost=2.0)

    for name, options in {
        "include": {"response_model_include": {"name"}},
        "include-none": {"response_model_include": set()},
        "exclude": {"response_model_exclude": {"name"}},
        "by-name": {"response_model_by_alias": False},
        "unset": {"response_model_exclude_unset": True},
        "defaults": {"response_model_exclude_defaults": True},
        "none": {"response_model_exclude_none": True},
        "created": {"status_code": status.HTTP_201_CREATED},
        "enum": {"status_code": HTTPStatus.ACCEPTED},
        "class": {"response_class": JSONResponse},
    }.items():

        @router.get(f"/shape/{name}", response_model=Shown, **options)
        async def shape() -> Any:
            return thing

        @router.get(f"/sync-shape/{name}", response_model=Shown, **options)
        def sync_shape() -> Any:
            return thing

    for code in (204, 205, 304):

        @router.get(f"/bodiless/{code}", status_code=code)
        async def bodiless() -> None:
            return None

    @router.get("/bytes", response_class=PlainTextResponse)
    async def text() -> str:
        return "grüße"

    @router.get("/html", response_class=HTMLResponse)
    async def html() -> str:
        return "<p>"

    @router.get("/redirect", response_class=RedirectResponse)
    async def redirect() -> str:
        return "/plain"

    @router.get("/no-model", response_model=None)
    async def no_model() -> Thing:
        return thing

    @router.get("/nan")
    async def nan() -> float:
        return float("nan")

    @router.get("/nan-no-model", response_model=None)
    async def nan_no_model() -> float:
        return float("nan")

    @router.get("/invalid")
    async def invalid() -> Thing:
        return {"name": 1, "cost": "much"}  # type: ignore[return-value]

    @router.get("/sync-invalid")
    def sync_invalid() -> Thing:
        return {"name": 1}  # type: ignore[return-value]

    @router.get("/unserializable")
    async def unserializable() -> Any:
        return object()

    @router.get("/surrogate")
    async def surrogate() -> str:
        return "\ud800"

    @router.get("/response")
    async def response() -> Response:
        return Response(b"x", 418, {"x-a": "b"}, "text/x", BackgroundTask(lambda: None))

    @router.get("/failing-background")
    async def failing_background() -> Response:
        def fail() -> None:
            raise RefusedError("in the background")

        return Response(b"x", background=BackgroundTask(fail))

    @router.get("/stream")
    async def stream(fail: bool = False) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            if fail:
                raise RefusedError("half-way")
            yield b"two"

        return StreamingResponse(chunks())

    @router.get("/lines")
    async def lines() -> AsyncIterator[Thing]:
        yield thing
        yield thing

    @router.get("/http-error")
    async def http_error() -> None:
        raise HTTPException(409, {"why": "x"}, headers={"x-a": "b"})

    @router.get("/refused")
    async def refused() -> None:
        raise RefusedError("async")

    @router.get("/sync-refused")
    def sync_refused() -> None:
        raise RefusedError("sync")

    @router.get("/handler-fails")
    async def handler_fails() -> None:
        raise LookupError("x")

    @router.get("/crash")
    async def crash() -> None:
        raise RuntimeError("x")

    @router.get("/own-validation")
    async def own_validation() -> None:
        Thing.model_validate({})

    @router.get("/group")
    async def group() -> None:
        raise ExceptionGroup("g", [RefusedError("x")])

    return router
